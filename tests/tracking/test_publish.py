"""`deepinside publish`, against a server that is a dictionary, and offline with the SDK itself."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.tracking import transaction_log
from tests.tracking.test_tracking import build

from deepinside import terminal
from deepinside.artifacts import artifact


class Server:
    """What `wandb.init` and `wandb.Api` give, as far as they are used, and what a server keeps of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs, self.artifacts = folder, {}, {}
        self.broken, self.unreachable, self.count = "", False, 0

    def setup(self) -> SimpleNamespace:
        return SimpleNamespace(most_recent_active_run=None)

    def teardown(self) -> None:
        pass

    def init(self, **given: object) -> "Started":
        assert given["resume"] is None  # of that id: replaced, never appended to
        self.runs[given["id"]] = SimpleNamespace(state="running", used=[], logged=[], curves=[], given=given)
        self.count += 1  # the SDK names folders by the time
        return Started(self, self.runs[given["id"]], self.folder / str(self.count))

    def api(self, overrides: dict) -> "Api":
        return Api(self, overrides)


class Started:
    def __init__(self, server: Server, run: SimpleNamespace, folder: Path) -> None:
        (folder / "files").mkdir(parents=True, exist_ok=True)
        self.server, self.run, self.dir, self.url = server, run, str(folder / "files"), "https://example/run"
        self.summary = self

    def _may_break(self, what: str) -> None:
        if self.server.broken == what:
            raise RuntimeError(f"no {what}")

    def use_artifact(self, name: str) -> None:
        if name not in self.server.artifacts:
            raise ValueError(f"artifact {name} not found")
        self.run.used.append(name)

    def log(self, content: dict, step: int | None = None) -> None:
        self._may_break("log")
        self.run.curves.append((step, content))

    def update(self, _numbers: dict) -> None:
        pass

    def log_artifact(self, one: object, aliases: list[str]) -> None:
        self._may_break("log_artifact")
        self.server.artifacts[f"{one.name}:{aliases[0]}"] = sorted(one.manifest.entries)
        self.run.logged.append(aliases[0])

    def finish(self, exit_code: int) -> None:
        self.run.state = "failed" if exit_code else "finished"


class Api:
    def __init__(self, server: Server, overrides: dict) -> None:
        self.server, self.overrides = server, overrides

    def run(self, name: str) -> SimpleNamespace:
        import wandb

        if self.server.unreachable:
            raise wandb.errors.CommError("connection refused")
        if name not in self.server.runs:
            raise wandb.errors.CommError(f"Could not find run <Run team/deepinside/{name} (not found)>")
        kept = self.server.runs[name]
        used = [SimpleNamespace(aliases=["latest", one.split(":")[1]]) for one in kept.used]
        return SimpleNamespace(state=kept.state, used_artifacts=lambda: used)

    def artifact_exists(self, name: str) -> bool:
        *place, last = name.split("/")
        assert place == [*([self.overrides["entity"]] if "entity" in self.overrides else []), self.overrides["project"]]
        return last in self.server.artifacts


@pytest.fixture
def chain(tmp_path: Path) -> SimpleNamespace:
    return build(tmp_path / "outputs")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    import wandb

    one = Server(tmp_path / "server")
    monkeypatch.setattr(wandb, "Api", one.api)
    for name in ("setup", "init", "teardown"):
        monkeypatch.setattr(wandb, name, getattr(one, name))
    return one


def publish(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[str]]:
    status = terminal.run("publish", [str(word) for word in words])
    return status, [line.split()[-1] if "/" in line else line for line in capsys.readouterr().out.splitlines()]


NAMES = ("prepare-drawn", "train-drawn-mini", "localise-drawn-mini")


def aliases(chain: SimpleNamespace) -> list[str]:
    folders = (chain.prepare, chain.train, chain.out)
    return [f"{name}:{folder.name}" for name, folder in zip(NAMES, folders, strict=True)]


def test_the_whole_graph_is_published_inputs_first(chain, server, capsys) -> None:
    assert publish(capsys, chain.outputs / "localise" / chain.out.name) == (0, ["sent"] * 3)
    prepare, train, localise = aliases(chain)
    assert list(server.artifacts) == [prepare, train, localise]
    stages = [run.given["job_type"] for run in server.runs.values()]
    assert stages == ["prepare", "train", "localise"]
    assert [run.used for run in server.runs.values()] == [[], [prepare], [prepare, train]]
    assert [run.state for run in server.runs.values()] == ["finished"] * 3
    assert {run.given["group"] for run in server.runs.values()} == {"deepinside"}
    assert "per_image.csv" in server.artifacts[localise]


def test_published_ones_are_recognised(chain, server, capsys) -> None:
    publish(capsys, chain.out)
    before = {name: id(run) for name, run in server.runs.items()}
    assert publish(capsys, chain.out, chain.train) == (0, ["published"] * 3)
    assert {name: id(run) for name, run in server.runs.items()} == before


@pytest.mark.parametrize("what", ["log_artifact", "log"])
def test_an_interrupted_one_goes_on_where_it_stopped(chain, server, capsys, what: str) -> None:
    publish(capsys, chain.train)
    server.broken = what
    status, lines = publish(capsys, chain.out)
    assert (status, lines[:3]) == (1, ["published", "published", "failed"])
    assert server.runs[f"localise-{chain.out.name}"].state == "failed"
    server.broken = ""
    assert publish(capsys, chain.out) == (0, ["published", "published", "sent"])
    curve = [step for step, _ in server.runs[f"localise-{chain.out.name}"].curves if step is not None]
    assert curve == [0, 1]  # of the second time alone


def test_a_run_that_was_synced_from_offline_gets_its_inputs(chain, server, capsys) -> None:
    publish(capsys, chain.out)
    server.runs[f"localise-{chain.out.name}"].used.clear()  # offline, inputs cannot be declared
    assert publish(capsys, chain.out) == (0, ["published", "published", "sent"])
    assert server.runs[f"localise-{chain.out.name}"].used == aliases(chain)[:2]


@pytest.mark.parametrize("lost", ["artifact", "state"])
def test_what_is_there_in_part_is_replaced(chain, server, capsys, lost: str) -> None:
    publish(capsys, chain.out)
    if lost == "artifact":
        del server.artifacts[aliases(chain)[1]]
    else:
        server.runs[f"train-{chain.train.name}"].state = "crashed"
    assert publish(capsys, chain.out) == (0, ["published", "sent", "published"])


def test_an_input_that_is_gone_is_named_and_no_obstacle(chain, server, capsys, caplog) -> None:
    chain.prepare.rename(chain.prepare.with_name("gone"))
    assert publish(capsys, chain.out) == (0, ["sent", "sent"])
    assert chain.prepare.name in caplog.text
    run = server.runs[f"localise-{chain.out.name}"]
    assert run.given["config"]["inputs"]["prepare"] == chain.prepare.name
    assert publish(capsys, chain.out) == (0, ["published", "published"])


def test_where_it_goes_is_said_on_the_command_line(chain, server, capsys) -> None:
    publish(capsys, chain.prepare, "wandb.entity=team", "wandb.project=other", "name=group one")
    (run,) = server.runs.values()
    assert {"entity": "team", "project": "other", "group": "group one", "mode": "online"}.items() <= run.given.items()


def test_a_silent_server_and_wrong_words(chain, server, capsys) -> None:
    server.unreachable = True
    with pytest.raises(OSError, match=r"connection refused.*wandb login"):
        publish(capsys, chain.out)
    with pytest.raises(ValueError, match="got disabled"):
        publish(capsys, chain.out, "wandb=disabled")
    with pytest.raises(KeyError, match=r"wandb\.project"):
        publish(capsys, chain.out, "wandb.projekt=x")
    with pytest.raises(FileNotFoundError, match="not a finished artifact"):
        publish(capsys, chain.outputs)
    assert server.runs == {}


def test_a_report_is_shown_as_a_page(tmp_path: Path, server, capsys) -> None:
    made_from = {"stage": "report", "seed": 0, "config": {"name": "mine"}, "inputs": {}, "raw": {}, "source": "0"}
    page = "<!doctype html><title>all</title><p>found</p>"
    folder, _ = artifact.make(
        tmp_path / "outputs" / "report", made_from, lambda out: (out / "index.html").write_text(page) and None, dict
    )
    publish(capsys, folder)
    (run,) = server.runs.values()
    assert run.given["group"] == "mine"
    (shown,) = [content["page"] for _, content in run.curves if "page" in content]
    assert Path(shown._path).read_text() == page


def test_offline_with_the_sdk_itself(chain, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    command = [sys.executable, "-m", "deepinside", "publish", str(chain.out), "wandb=offline"]

    def run() -> list[str]:
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [line.split()[-1] for line in done.stdout.splitlines()]

    assert run() == ["sent"] * 3
    folders = sorted((chain.outputs / "wandb").glob("offline-run-*"))
    found = {}
    for folder in folders:
        log = transaction_log.records(next(folder.glob("*.wandb")))
        (one,) = [entry for entry in transaction_log.of_kind(log, "artifact") if entry.type != "run_table"]
        (exit_,) = transaction_log.of_kind(log, "exit")
        found[one.name] = (set(one.aliases), exit_.exit_code, {entry.path for entry in one.manifest.contents})
    assert found.keys() == set(NAMES)
    for name, folder in zip(NAMES, (chain.prepare, chain.train, chain.out), strict=True):
        kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
        assert folder.name in found[name][0]
        assert found[name][1:] == (0, kept)
    assert run() == ["published"] * 3
    assert sorted((chain.outputs / "wandb").glob("offline-run-*")) == folders
