import csv
import getpass
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from base64 import b64encode
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.tracking import transaction_log

from deepinside.artifacts import artifact
from deepinside.records import Row, Table
from deepinside.tracking import Limits, artifact_name, tracked

CONF = Path(__file__).resolve().parents[2] / "conf"
TABLE = [
    Row("error_top1", 0.25, "share", 40, 0.125, 0.375),
    Row("images_set_aside", 2.0, "images", 42),
    Row("undefined", float("nan"), "share", 0),
]
PICTURES = [("unit 3", "a"), ("unit 3", "b"), ("unit 3", "c"), ("layer features.12/conv", "d")]


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def fill(out, many):
    Table(TABLE).write(out)
    images = [("007", "0.5", "1"), ("b", "", "2"), ("c", "1e-3", "3")]
    write_csv(out / "per_image.csv", [("image", "iou", "rank"), *images])
    write_csv(out / "history.csv", [("epoch", "loss", "error"), ("0", "2.5", ""), ("1", "1.25", "0.5")])
    (out / "pictures").mkdir(parents=True)
    for number, (_, name) in enumerate(PICTURES):
        Image.fromarray(np.full((4, 6, 3), number, np.uint8)).save(out / "pictures" / f"{name}.png")
    rows = [(f"pictures/{name}.png", group, f"title {name}", f"caption {name}") for group, name in PICTURES]
    write_csv(out / "pictures.csv", [("file", "group", "title", "caption"), *rows])
    (out / "maps" / "deep").mkdir(parents=True)
    for number in range(many):
        (out / "maps" / "deep" / f"{number:03d}.bin").write_bytes(bytes([number % 256]) * 7)


def made_from(stage, config, **inputs):
    names = {role: path.name for role, path in inputs.items()}
    return {"stage": stage, "seed": 0, "config": config, "inputs": names, "raw": {}, "source": "0"}


@pytest.fixture
def chain(tmp_path):
    return build(tmp_path / "outputs")


def build(outputs, many=20):
    """Three artifacts as the pipeline makes them: images, a network trained on them, and maps of both."""

    def make(stage, config, compute, **inputs):
        record = {"device": "a machine that nobody may name"}
        return artifact.make(outputs / stage, made_from(stage, config, **inputs), compute, lambda: record)[0]

    def empty(out):
        (out / "classes.csv").write_text("class\ncat\n")

    prepare = make("prepare", {"data": {"name": "drawn", "root": None}}, empty)
    train = make("train", {"model": {"name": "mini", "widths": [8, 16]}}, empty, prepare=prepare)
    config = {"localise": {"seeds": [0.95, 0.3]}, "data": {"limit": 40}}
    localise = make("localise", config, lambda out: fill(out, many), prepare=prepare, network=train)
    inputs = {"prepare": prepare, "network": train}
    return SimpleNamespace(outputs=outputs, prepare=prepare, train=train, out=localise, config=config, inputs=inputs)


def arguments(chain, **changes):
    return {
        "stage": "localise",
        "kind": "maps",
        "fingerprint": chain.out.name,
        "config": chain.config,
        "inputs": chain.inputs,
        "mode": "offline",
        "project": "deepinside",
        "entity": None,
        "group": "experiment one",
        "root": chain.outputs,
    } | changes


# ---------------------------------------------------------------------------------------------------------- offline

SCRIPT = """
import json, os, sys
from pathlib import Path
from deepinside.tracking import tracked
given = json.loads(sys.argv[1])
given["inputs"] = {role: Path(path) for role, path in given["inputs"].items()}
given["root"] = Path(given["root"])
before = dict(os.environ)
for stage in ("warm_up", "localise"):
    with tracked(**given | {"stage": stage, "pictures": 4}) as run:
        run.log(Path(sys.argv[2]))
assert dict(os.environ) == before
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Two stages tracked offline by a process of its own, whose home, working and temporary folder are watched."""
    top = tmp_path_factory.mktemp("offline")
    chain = build(top / "outputs", many=400)  # so many that the artifact's record spans blocks of the log
    for name in ("home", "cwd/.git", "tmp"):
        (top / name).mkdir(parents=True)
    (top / "cwd/.git/HEAD").write_text("ref: refs/heads/main\n")
    (top / "cwd/.git/config").write_text('[remote "origin"]\n\turl = https://remote-of-the-user.example/x.git\n')
    (top / "script_of_the_user.py").write_text(SCRIPT)
    personal = {
        "HOME": str(top / "home"),
        "TMPDIR": str(top / "tmp"),
        "USER": "zaphod_the_user",
        "LOGNAME": "zaphod_the_user",
        "WANDB_USERNAME": "zaphod_the_user",
        "WANDB_EMAIL": "zaphod_the_user@example.com",
        "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
        "WANDB_HOST": "host-of-the-user",
        "WANDB_NOTES": "notes of the user",
        "WANDB_DIR": str(top / "cwd"),
    }
    given = arguments(chain, config=chain.config | {"path": str(top / "home" / "weights.pt")})
    given |= {"root": str(chain.outputs), "inputs": {role: str(path) for role, path in chain.inputs.items()}}
    command = [sys.executable, str(top / "script_of_the_user.py"), json.dumps(given), str(chain.out)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | personal
    done = subprocess.run(command, cwd=top / "cwd", env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = next(iter((chain.outputs / "wandb").glob("offline-run-*-localise-*")), None)
    assert folder, done.stderr
    log = transaction_log.records(next(folder.glob("*.wandb")))
    return SimpleNamespace(top=top, chain=chain, done=done, folder=folder, log=log)


def test_offline_says_nothing(offline):
    assert (offline.done.stdout, offline.done.stderr) == ("", "")


def test_offline_writes_into_outputs_alone(offline):
    assert list((offline.top / "home").rglob("*")) == []
    assert list((offline.top / "tmp").rglob("*")) == []
    assert sorted(path.name for path in (offline.top / "cwd").rglob("*")) == [".git", "HEAD", "config"]
    stages = {re.sub(r"\d+_\d+", "TIME", path.name) for path in (offline.chain.outputs / "wandb").iterdir()}
    name = offline.chain.out.name
    assert stages == {f"offline-run-TIME-warm_up-{name}", f"offline-run-TIME-localise-{name}"}


def test_nothing_personal_in_any_file(offline):
    ours = (sys.executable, "script_of_the_user", getpass.getuser() if getpass.getuser() != "root" else "zaphod")
    secrets = ("zaphod", "of-the-user", "of the user", "0123456789abcdef01234567", str(offline.top / "home"), *ours)
    host = re.compile(rb"(?<![a-zA-Z0-9])" + re.escape(socket.gethostname().encode()) + rb"(?![a-zA-Z0-9])")
    for path in (path for path in (offline.chain.outputs / "wandb").rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path
        assert not host.search(content), path


def test_uploaded_records_hold_no_path(offline):
    # `local_path` says where `wandb sync` finds the files; it is read on this machine and not uploaded.
    for record in transaction_log.records(next(offline.folder.glob("*.wandb"))):
        for entry in record.artifact.manifest.contents:
            assert Path(entry.local_path).is_relative_to(offline.folder / "staging")
            entry.ClearField("local_path")
        assert str(offline.top).encode() not in record.SerializeToString()


def test_all_records_are_read(offline):
    assert (offline.folder / f"run-localise-{offline.chain.out.name}.wandb").stat().st_size > 2 * 32768
    assert [record.num for record in offline.log] == list(range(1, len(offline.log) + 1))
    assert offline.log[0].WhichOneof("record_type") == "header"
    assert offline.log[-1].WhichOneof("record_type") == "exit"
    assert transaction_log.of_kind(offline.log, "exit")[0].exit_code == 0


def test_run_record(offline):
    (run,) = transaction_log.of_kind(offline.log, "run")
    assert (run.project, run.run_group, run.job_type) == ("deepinside", "experiment one", "localise")
    assert run.run_id == f"localise-{offline.chain.out.name}"
    assert (run.host, run.entity, run.notes, run.git.remote_url) == ("", "", "", "")
    config = transaction_log.nested(run.config.update)
    config.pop("_wandb")
    assert config == {
        "localise": {"seeds": [0.95, 0.3]},
        "data": {"name": "drawn", "root": None, "limit": 40},  # what the inputs were made with is part of it
        "model": {"name": "mini", "widths": [8, 16]},
        "path": "weights.pt",  # of an absolute path only the name
        "stage": "localise",
        "fingerprint": offline.chain.out.name,
        "inputs": {"prepare": offline.chain.prepare.name, "network": offline.chain.train.name},
    }


def the_artifact(offline):
    found = [one for one in transaction_log.of_kind(offline.log, "artifact") if one.type != "run_table"]
    assert len(found) == 1
    return found[0]


def test_artifact_record(offline):
    record = the_artifact(offline)
    assert (record.type, record.name) == ("maps", "localise-drawn-mini")
    assert offline.chain.out.name in record.aliases
    assert json.loads(record.metadata) == {
        "stage": "localise",
        "fingerprint": offline.chain.out.name,
        "inputs": {"prepare": offline.chain.prepare.name, "network": offline.chain.train.name},
    }


def every_file(out):
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert files.pop("manifest.json").exists()  # it records time and machine
    return files


def test_artifact_digest_is_that_of_its_files(offline, tmp_path, monkeypatch):
    import wandb

    record, files = the_artifact(offline), every_file(offline.chain.out)
    digests = {name: b64encode(hashlib.md5(path.read_bytes()).digest()).decode() for name, path in files.items()}
    assert {entry.path: entry.digest for entry in record.manifest.contents} == digests
    lines = "".join(f"{name}:{digest}\n" for name, digest in sorted(digests.items()))
    assert record.digest == hashlib.md5(f"wandb-artifact-manifest-v1\n{lines}".encode()).hexdigest()
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    again = wandb.Artifact("again", type="maps")
    for name, path in files.items():
        again.add_file(str(path), name=name)
    assert record.digest == again.digest


def test_staged_files_cost_no_space_and_outlive_a_renaming(offline):
    for entry in the_artifact(offline).manifest.contents:
        assert os.path.samefile(entry.local_path, offline.chain.out / entry.path)
        assert entry.skip_cache


def test_numbers_and_curves(offline):
    summary = transaction_log.summary(offline.log)
    assert (summary["error_top1"], summary["images_set_aside"]) == (0.25, 2.0)
    assert (summary["error_top1/ci_low"], summary["error_top1/ci_high"]) == (0.125, 0.375)
    assert summary["undefined"] is None  # never 0
    assert "images_set_aside/ci_low" not in summary
    history = [transaction_log.nested(row.item) for row in transaction_log.of_kind(offline.log, "history")]
    assert [(row["_step"], row["loss"], row.get("error")) for row in history] == [(0, 2.5, None), (1, 1.25, 0.5)]


def test_pictures_are_bounded_and_keep_their_captions(offline):
    row = transaction_log.nested(transaction_log.of_kind(offline.log, "history")[-1].item)
    shown = {key: row[key] for key in row if key.startswith("pictures/")}
    # four images for two groups: two of each at most
    assert {key: value["captions"] for key, value in shown.items()} == {
        "pictures/unit 3": ["title a. caption a", "title b. caption b"],
        "pictures/layer features.12_conv": ["title d. caption d"],
    }
    for files, names in ((shown["pictures/unit 3"]["filenames"], "ab"),):
        for file, name in zip(files, names, strict=True):
            picture = offline.chain.out / "pictures" / f"{name}.png"
            assert (offline.folder / "files" / file).read_bytes() == picture.read_bytes()


def test_tables_keep_their_types(offline):
    row = transaction_log.nested(transaction_log.of_kind(offline.log, "history")[-1].item)
    assert {key for key in row if key.startswith("tables/")} == {"tables/table", "tables/per_image", "tables/history"}
    table = json.loads((offline.folder / "files" / row["tables/per_image"]["path"]).read_text())
    assert table["columns"] == ["image", "iou", "rank"]
    assert table["data"] == [["007", 0.5, 1], ["b", None, 2], ["c", 0.001, 3]]


def test_a_damaged_log_is_noticed(offline):
    content = next(offline.folder.glob("*.wandb")).read_bytes()
    with pytest.raises(ValueError, match="checksum"):
        list(transaction_log.payloads(content[:20] + bytes([content[20] ^ 1]) + content[21:]))
    with pytest.raises(ValueError, match="cut off"):
        list(transaction_log.payloads(content[:-1]))


@pytest.mark.parametrize("left", range(9))
def test_the_reader_at_the_end_of_a_block(left):
    def frame(kind, payload):
        return struct.pack("<IHB", zlib.crc32(payload, zlib.crc32(bytes([kind]))), len(payload), kind) + payload

    first = b"a" * (32768 - 7 - 7 - left)  # after the file's head and the frame's, `left` bytes of the block remain
    second = b"b" * 40_000
    content = b":W&B\xe1\xbe\x00" + frame(1, first)
    if left < 7:
        content += bytes(left) + frame(2, second[:32761]) + frame(4, second[32761:])
    else:
        cut = left - 7
        content += frame(2, second[:cut]) + frame(3, second[cut : cut + 32761]) + frame(4, second[cut + 32761 :])
    assert list(transaction_log.payloads(content)) == [first, second]


# --------------------------------------------------------------------------------------------------------- disabled


def test_importing_it_does_not_import_wandb_or_torch():
    check = "import sys, deepinside.tracking; assert not {'wandb', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_disabled_does_nothing(chain, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it now raises
    before = dict(os.environ)
    with tracked(**arguments(chain, mode="disabled")) as run:
        assert dict(os.environ) == before
        run.log_metrics({"loss": 1.0}, step=0)
        run.log(chain.out)
    assert not (chain.outputs / "wandb").exists()
    assert not caplog.records


@pytest.mark.parametrize("wrong", [{"mode": "on"}, {"kind": "picture"}])
def test_unknown_mode_or_kind(chain, wrong):
    with pytest.raises(ValueError, match="expected one of"), tracked(**arguments(chain, **wrong)):
        pass


# ------------------------------------------------------------------------------------- the SDK's boundary, by a fake


class Fake:
    """What `wandb.init` gives, as far as it is used; writes down every call."""

    def __init__(self, folder, on_server=(), broken=""):
        self.dir, self.url = str(folder / "files"), "https://example/run"
        self.on_server, self.broken = on_server, broken
        self.calls, self.metrics, self.staged = [], [], None
        self.summary = self

    def _called(self, name, *what):
        self.calls.append((name, *what))
        if self.broken == name:
            raise (SystemExit(1) if name == "teardown" else RuntimeError(f"no\n{name}"))

    def setup(self):
        return SimpleNamespace(most_recent_active_run=None)

    def teardown(self):
        self._called("teardown")

    def init(self, **given):
        self.given = given
        self.environ = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
        self._called("init")
        return self

    def use_artifact(self, name):
        self._called("use_artifact", name)
        if name not in self.on_server:
            raise ValueError(f"artifact {name} not found")

    def log(self, content, step=None):
        self.metrics.append((step, content))
        self._called("log")

    def update(self, numbers):
        self._called("summary", numbers)

    def log_artifact(self, one, aliases):
        self.artifact = one
        self.staged = sorted(entry.local_path for entry in one.manifest.entries.values())
        self._called("log_artifact", one.name, one.type, aliases)

    def finish(self, exit_code):
        self._called("finish", exit_code)


@pytest.fixture
def fake(chain, monkeypatch):
    import wandb

    def put(**options):
        one = Fake(chain.outputs / "wandb" / "run-1", **options)
        for name in ("setup", "init", "teardown"):
            monkeypatch.setattr(wandb, name, getattr(one, name))
        return one

    monkeypatch.setenv("HOME", str(chain.outputs.parent / "home"))
    return put


def warnings(caplog):
    ours = (record for record in caplog.records if record.name.startswith("deepinside"))
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]


def test_online_declares_its_inputs_by_fingerprint(chain, fake, caplog):
    names = [f"prepare-drawn:{chain.prepare.name}", f"train-drawn-mini:{chain.train.name}"]
    one = fake(on_server=names)
    with tracked(**arguments(chain, mode="online", entity="team")) as run:
        run.log(chain.out)
    assert [call[1] for call in one.calls if call[0] == "use_artifact"] == names
    wanted = {"project": "deepinside", "entity": "team", "group": "experiment one", "job_type": "localise"}
    wanted |= {"mode": "online", "resume": "allow", "id": f"localise-{chain.out.name}"}
    assert wanted.items() <= one.given.items()
    assert ("log_artifact", "localise-drawn-mini", "maps", [chain.out.name]) in one.calls
    assert one.calls[-2:] == [("finish", 0), ("teardown",)]
    assert warnings(caplog) == []
    assert one.staged
    assert not any(Path(path).exists() for path in one.staged)  # all is on the server
    assert not list((chain.outputs / "wandb").glob("scratch*"))


def test_an_input_that_is_not_on_the_server(chain, fake, caplog):
    one = fake(on_server=[f"train-drawn-mini:{chain.train.name}"])
    with tracked(**arguments(chain, mode="online")) as run:
        run.log(chain.out)
    assert len([call for call in one.calls if call[0] == "use_artifact"]) == 2
    (warning,) = warnings(caplog)
    assert chain.prepare.name in warning
    assert "not found" in warning
    assert one.calls[-2:] == [("finish", 0), ("teardown",)]


def test_names_of_inputs_are_those_under_which_they_were_logged(chain, fake):
    one = fake()
    given = {"stage": "train", "kind": "model", "fingerprint": chain.train.name, "mode": "online"}
    own = artifact.read_manifest(chain.train)["made_from"]["config"]
    with tracked(**arguments(chain, **given, config=own, inputs={"prepare": chain.prepare})) as run:
        run.log(chain.train)
    assert ("log_artifact", "train-drawn-mini", "model", [chain.train.name]) in one.calls


@pytest.mark.parametrize("broken", ["init", "log_artifact", "summary", "log", "finish", "teardown"])
@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_failure_of_wandb_costs_one_warning(chain, fake, caplog, mode, broken):
    fake(broken=broken, on_server=[f"prepare-drawn:{chain.prepare.name}", f"train-drawn-mini:{chain.train.name}"])
    before, reached = dict(os.environ), False
    with tracked(**arguments(chain, mode=mode)) as run:
        run.log_metrics({"loss": 1.0}, step=0)
        run.log(chain.out)
        reached = True
    assert reached
    assert dict(os.environ) == before
    (warning,) = warnings(caplog)
    assert "wandb=disabled" in warning
    assert "\n" not in warning
    assert artifact.verify(chain.out) == []


def test_after_a_failed_upload_the_files_stay_for_a_sync(chain, fake):
    one = fake(broken="finish")
    with tracked(**arguments(chain, mode="online")) as run:
        run.log(chain.out)
    assert one.staged
    assert all(Path(path).exists() for path in one.staged)


def test_a_broken_installation(chain, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with tracked(**arguments(chain)) as run:
        run.log(chain.out)
    assert len(warnings(caplog)) == 1


def test_a_damaged_listing_does_not_fail_the_stage(chain, fake, caplog):
    fake()
    (chain.out / "pictures.csv").write_text("file,group,title,caption\npictures/missing.png,a,b,c\n")
    with tracked(**arguments(chain)) as run:
        run.log(chain.out)
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_stage_that_fails_fails(chain, fake, error):
    one = fake()
    before = dict(os.environ)
    with pytest.raises(error), tracked(**arguments(chain)):
        raise error
    assert one.calls[-2:] == [("finish", 1), ("teardown",)]
    assert dict(os.environ) == before


def test_an_interruption_at_the_start_stays_one(chain, fake, monkeypatch):
    import wandb

    fake()

    def interrupt(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(wandb, "init", interrupt)
    before = dict(os.environ)
    with pytest.raises(KeyboardInterrupt), tracked(**arguments(chain, mode="online")):
        pass
    assert dict(os.environ) == before


def test_offline_hides_the_users_variables_and_gives_them_back(chain, fake, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("WANDB_CACHE_DIR", "elsewhere")
    one = fake()
    with tracked(**arguments(chain)):
        assert "WANDB_API_KEY" not in os.environ
    assert {one.environ[f"WANDB_{what}_DIR"] for what in ("CACHE", "CONFIG", "DATA", "ARTIFACT")} == {
        str(chain.outputs / "wandb" / f"scratch-localise-{chain.out.name}")
    }
    assert (os.environ["WANDB_API_KEY"], os.environ["WANDB_CACHE_DIR"]) == ("secret", "elsewhere")
    with tracked(**arguments(chain, mode="online")):
        assert os.environ["WANDB_API_KEY"] == "secret"
        assert "WANDB_CONFIG_DIR" not in os.environ  # the address of the user's own server lies there


def test_curves_drawn_while_computing_are_not_drawn_again(chain, fake):
    one = fake()
    with tracked(**arguments(chain)) as run:
        run.log_metrics({"loss": 9.0}, step=4)
        run.log(chain.out)
    assert [(step, content) for step, content in one.metrics if step is not None] == [(4, {"loss": 9.0})]


@pytest.mark.parametrize("bound", [{"upload_mb": 1e-4}, {"upload_files": 10}])
def test_a_large_dataset_goes_without_its_deeper_folders(chain, fake, bound):
    one = fake()
    with tracked(**arguments(chain, kind="dataset"), **bound) as run:
        run.log(chain.out)
    kept = {name for name in every_file(chain.out) if not name.startswith("maps/")}
    assert set(one.artifact.manifest.entries) == kept
    assert one.artifact.metadata["files_left_out"] == 20


@pytest.mark.parametrize("given", [{"kind": "dataset"}, {"kind": "maps", "upload_files": 10, "upload_mb": 0}])
def test_other_artifacts_go_whole(chain, fake, given):
    one = fake()
    with tracked(**arguments(chain, **given)) as run:
        run.log(chain.out)
    assert set(one.artifact.manifest.entries) == set(every_file(chain.out))
    assert "files_left_out" not in one.artifact.metadata


def test_without_hard_links_files_are_copied(chain, fake, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    one = fake()
    with tracked(**arguments(chain)) as run:
        run.log(chain.out)
    shutil.rmtree(chain.out)
    assert len([path for path in one.staged if Path(path).exists()]) == len(one.staged) > 20


def test_tables_are_cut_after_the_rows_asked_for(chain, fake):
    one = fake()
    with tracked(**arguments(chain, rows=2)) as run:
        run.log(chain.out)
    assert [row[0] for row in one.metrics[-1][1]["tables/per_image"].data] == ["007", "b"]


def test_a_run_of_the_callers_stays_open(chain, tmp_path, monkeypatch):
    import wandb

    for what in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{what}_DIR", str(tmp_path / "own"))
    settings = wandb.Settings(silent=True, console="off", x_disable_meta=True, disable_git=True)
    own = wandb.init(mode="offline", dir=str(tmp_path / "own"), project="own", settings=settings)
    try:
        with tracked(**arguments(chain)) as run:
            run.log(chain.out)
        assert wandb.run is own
        own.log({"still": 1})
        own.finish()
    finally:
        wandb.teardown()
    log = transaction_log.records(next((tmp_path / "own").rglob("*.wandb")))
    assert transaction_log.summary(log)["still"] == 1
    assert len(list((chain.outputs / "wandb").glob("offline-run-*/*.wandb"))) == 1


# ------------------------------------------------------------------------------------------- names and configuration


@pytest.mark.parametrize(
    ("stage", "settings", "name"),
    [
        ("prepare", {"data": {"name": "drawn"}}, "prepare-drawn"),
        ("dissect", {"model": {"name": "a/b c"}, "concepts": {"name": "broden"}, "data": {}}, "dissect-broden-a_b_c"),
        ("report", {"name": "all", "data": {"name": "several"}}, "report-all"),
        ("load", {"model": None}, "load"),
    ],
)
def test_artifact_name(stage, settings, name):
    assert artifact_name(stage, settings) == name


@pytest.mark.parametrize("mode", ["offline", "online", "disabled"])
def test_configuration_has_what_the_code_takes(mode):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(overrides=[f"+wandb={mode}"]).wandb
    assert (cfg.mode, cfg.project, cfg.entity) == (mode, "deepinside", None)
    bounds = {key: cfg[key] for key in cfg if key not in {"mode", "project", "entity"}}
    assert bounds == {field.name: field.default for field in fields(Limits)}
