"""The commands that answer without computing."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from tests.own import program

from deepinside import terminal
from deepinside.artifacts import artifact
from deepinside.pipeline import configuration
from deepinside.records import Row, Table
from deepinside.terminal import helping
from deepinside.terminal.inventory import Inventory, in_words
from deepinside.terminal.screen import aligned


def made(
    outputs: Path, stage: str, config: dict, inputs: dict | None = None, command: tuple = (), size: int = 10
) -> Path:
    names = {role: path.name for role, path in (inputs or {}).items()}
    made_from = {"stage": stage, "seed": 0, "config": config, "inputs": names, "raw": {}, "source": "0" * 16}

    def compute(out: Path) -> None:
        (out / "data.bin").write_bytes(b"x" * size)
        Table([Row("error", 0.25, "fraction", 8, 0.125, 0.5)]).write(out)

    folder, _ = artifact.make(outputs / stage, made_from, compute, lambda: {"command": list(command)})
    artifact.point_latest(outputs / stage, folder.name)
    return folder


@pytest.fixture
def world(tmp_path: Path) -> SimpleNamespace:
    """Two trained networks and what was localised with them; the second is the latest and rests on another data set."""
    outputs = tmp_path / "outputs"
    old_data = made(outputs, "prepare", {"data": {"name": "old"}})
    old_net = made(outputs, "train", {"model": {"name": "net"}}, {"prepare": old_data})
    old = made(outputs, "localise", {"localise": {"gamma": 1}}, {"prepare": old_data, "network": old_net})
    data = made(outputs, "prepare", {"data": {"name": "new"}}, size=1500)
    net = made(outputs, "train", {"model": {"name": "net", "width": 2}}, {"prepare": data})
    command = ("run=localise", "data=ilsvrc", "data.root=DATA_ROOT", "localise.gamma=2", "train.epochs=3", "seed=0")
    late = made(outputs, "localise", {"localise": {"gamma": 2}}, {"prepare": data, "network": net}, command)
    (outputs / "README.md").write_text("mine\n")
    return SimpleNamespace(outputs=outputs, old=(old_data, old_net, old), new=(data, net, late))


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Iterator:
    def run(*words: object) -> tuple[int, str]:
        status = terminal.run(str(words[0]), [str(word) for word in words[1:]])
        return status, capsys.readouterr().out

    return run


def answered(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


# --------------------------------------------------------------------------------------------------------------- list


def test_list_is_plain_columns_when_piped(world: SimpleNamespace, say) -> None:
    status, out = say("list", world.outputs)
    rows = [re.split(r"  +", line) for line in out.splitlines()]
    assert status == 0
    assert rows[0] == ["stage", "fingerprint", "made (UTC)", "size", "state", "from"]
    assert {row[1]: row[4] for row in rows[1:]} == {
        **{path.name: "unused" for path in (world.old[2], world.old[1], world.old[0])},
        **{path.name: "latest" for path in world.new},
    }
    assert {row[0] for row in rows[1:]} == {"prepare", "train", "localise"}
    (late,) = [row for row in rows if row[1] == world.new[2].name]
    assert late[5] == "new net localise.gamma=2 seed=0"  # names through the inputs; nothing of other stages; no path


def test_what_a_latest_result_rests_on_is_kept(world: SimpleNamespace, say) -> None:
    artifact.point_latest(world.outputs / "localise", world.old[2].name)
    _, out = say("list", world.outputs)
    states = {line.split()[1]: line for line in out.splitlines()[1:]}
    assert all(" kept " in states[path.name] for path in world.old[:2])
    assert " unused " in states[world.new[2].name]


def test_list_on_a_terminal_is_a_table_with_sums(world: SimpleNamespace, say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    _, out = say("list", world.outputs)
    assert "┃" in out
    assert "6 artifacts" in out
    assert "3 of them unused" in out


def test_a_damaged_manifest_is_said_and_not_removed(world: SimpleNamespace, say) -> None:
    (world.old[2] / "manifest.json").write_text("{")
    assert "manifest.json is damaged" in say("list", world.outputs)[1]
    say("clean", world.outputs, "--yes")
    assert world.old[2].exists()
    assert not world.old[1].exists()


def test_sizes_in_words() -> None:
    assert [in_words(size) for size in (0, 999, 1000, 34_567, 9_960_000, 2.5e9, 3e13)] == [
        "0 B", "999 B", "1.0 kB", "35 kB", "10.0 MB", "2.5 GB", "30.0 TB",
    ]  # fmt: skip


def test_aligned_columns() -> None:
    assert aligned([("a", "1", "x"), ("bbb", "22", "")], [False, True, False]) == ["a     1  x", "bbb  22"]


# --------------------------------------------------------------------------------------------------------------- show


def test_show_says_what_made_it(world: SimpleNamespace, say) -> None:
    status, out = say("show", world.outputs / "localise" / "latest")
    data, net, late = world.new
    assert status == 0
    parts = {part.splitlines()[0]: part.splitlines()[1:] for part in out.strip().split("\n\n")}
    assert list(parts) == [f"localise {late.name}", "settings", "inputs", "numbers", "files"]
    assert (
        "  by        deepinside run=localise data=ilsvrc data.root=DATA_ROOT localise.gamma=2 train.epochs=3 seed=0"
        in out
    )
    assert parts["settings"] == ["  localise.gamma  2"]
    assert parts["inputs"] == [f"  prepare  prepare/{data.name}", f"  network  train/{net.name}"]
    assert parts["numbers"] == ["  error  25.0\u00a0%  [12.5 to 50.0]"]
    assert parts["files"] == ["  data.bin   10 B", f"  table.csv  {(late / 'table.csv').stat().st_size} B"]


def test_show_says_who_takes_it_and_what_is_gone(world: SimpleNamespace, say) -> None:
    data, net, late = world.new
    (late / "data.bin").unlink()
    assert f"taken by\n  localise/{late.name}\n  train/{net.name}\n" in say("show", data)[1]
    assert "data.bin   missing" in say("show", late)[1]
    net.rename(net.with_name("elsewhere"))
    assert f"network  {net.name} (missing)" in say("show", late)[1]


def test_show_of_many_files_is_short(tmp_path: Path, say) -> None:
    def compute(out: Path) -> None:
        for number in range(50):
            (out / f"{number:02d}.txt").write_text("1234")

    made_from = {"stage": "load", "seed": 0, "config": {}, "inputs": {}, "raw": {"weights": "ab"}, "source": "0"}
    folder, _ = artifact.make(tmp_path / "load", made_from, compute, dict)
    out = say("show", folder)[1]
    assert "  ... and 30 more  120 B" in out
    assert "19.txt" in out
    assert "20.txt" not in out
    assert "  weights  content ab" in out


# -------------------------------------------------------------------------------------------------------------- clean


def test_clean_removes_what_nothing_refers_to_and_nothing_else(world: SimpleNamespace, say) -> None:
    status, out = say("clean", world.outputs, "--yes")
    assert status == 0
    assert all(str(path) in out for path in world.old)
    assert not any(path.exists() for path in world.old)
    assert all(artifact.verify(path) == [] for path in world.new)
    assert (world.outputs / "README.md").exists()
    assert say("clean", world.outputs)[1] == (
        f"{world.outputs}: nothing to remove; every artifact is a latest one or an input of one\n"
    )


@pytest.mark.parametrize(("text", "gone"), [("y\n", True), ("yes\n", True), ("n\n", False), ("", False), ("\n", False)])
def test_clean_asks_first(world: SimpleNamespace, say, monkeypatch: pytest.MonkeyPatch, text: str, gone: bool) -> None:
    answered(monkeypatch, text)
    status, out = say("clean", world.outputs)
    assert "Remove these 3? [y/N]" in out
    assert [path.exists() for path in world.old] == [not gone] * 3
    assert status == int(not gone)


def test_clean_takes_stale_work_and_leaves_what_can_be_resumed(world: SimpleNamespace, say) -> None:
    stage = world.outputs / "localise"
    stale, fresh, half = (stage / f"{c * 16}.{end}" for c, end in (("a", "part"), ("b", "part"), ("c", "removed")))
    for folder in (stale, fresh, half):
        folder.mkdir()
        (folder / "x").write_text("x")
    stale.with_suffix(".lock").touch()
    long_ago = time.time() - 2 * 86400
    for path in (stale / "x", stale):
        os.utime(path, (long_ago, long_ago))
    say("clean", world.outputs, "--yes")
    assert [folder.exists() for folder in (stale, fresh, half)] == [False, True, False]
    assert not stale.with_suffix(".lock").exists()


def test_clean_waits_for_a_run(world: SimpleNamespace, say) -> None:
    part = world.outputs / "localise" / f"{'a' * 16}.part"
    part.mkdir()
    with FileLock(part.with_suffix(".lock")), pytest.raises(ValueError, match="a run is writing"):
        say("clean", world.outputs, "--yes")
    assert world.old[2].exists()


def test_clean_never_leaves_outputs(world: SimpleNamespace, say, tmp_path: Path) -> None:
    elsewhere = made(tmp_path / "other", "train", {"model": {"name": "theirs"}})
    (tmp_path / "other" / "train" / "latest").unlink()
    (world.outputs / "train" / elsewhere.name).symlink_to(elsewhere)
    (world.outputs / "linked").symlink_to(tmp_path / "other" / "train")
    foreign = world.outputs / "train" / "0123456789abcdef"  # named as an artifact, but its manifest is another's
    foreign.mkdir()
    (foreign / "manifest.json").write_text((world.new[1] / "manifest.json").read_text())
    bare = world.outputs / "train" / "fedcba9876543210"
    bare.mkdir()
    say("clean", world.outputs, "--yes")
    assert artifact.verify(elsewhere) == []
    assert foreign.exists()
    assert bare.exists()


def test_what_a_run_took_up_while_the_question_stood_stays(world: SimpleNamespace, say, monkeypatch) -> None:
    class Slow(io.StringIO):
        def readline(self, *_: object) -> str:
            artifact.point_latest(world.outputs / "localise", world.old[2].name)
            return "y\n"

    monkeypatch.setattr(sys, "stdin", Slow())
    say("clean", world.outputs)
    assert all(path.exists() for path in (*world.old, *world.new))


# ------------------------------------------------------------------------------------------------- the program itself


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show"], "expected deepinside show PATH"),
        (["diff", "a"], "expected deepinside diff PATH PATH"),
        (["list", "a", "b"], "expected deepinside list [OUTPUTS]"),
        (["list", "absent"], "absent: expected the folder"),
        (["show", "absent"], "not a finished artifact"),
        (["clean", "--yse"], "expected deepinside clean [OUTPUTS] [--yes]"),
    ],
)
def test_a_wrong_word_is_one_clear_message(tmp_path: Path, words: list[str], said: str) -> None:
    done = program(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_commands_do_not_wait_for_torch(world: SimpleNamespace) -> None:
    late = str(world.new[2])
    for words in (
        ["list", str(world.outputs)],
        ["show", late],
        ["verify", late],
        ["diff", late, late],
        ["clean", "-h"],
        ["help", "localise"],
    ):
        code = f"import sys; sys.argv = ['deepinside', *{words!r}]\nfrom deepinside.__main__ import main\n"
        code += "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        code += "print({'torch', 'hydra', 'pandas', 'matplotlib', 'wandb'} & set(sys.modules), file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr == "set()\n", words


def test_help_is_one_screen_with_every_command_and_stage(tmp_path: Path, say) -> None:
    done = program("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in (*terminal.COMMANDS, *configuration.table.STAGES):
        assert re.search(rf"^  {word} .* [a-z]", done.stdout, re.MULTILINE), word
    lines = done.stdout.splitlines()
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= 110
    assert say("help") == (0, done.stdout)
    assert list(helping.WHAT) == list(configuration.table.STAGES)
    examples = [shlex.split(line, comments=True)[1:] for line in lines if re.match(r"  deepinside \w+=[a-z]", line)]
    assert len(examples) == 3
    for words in examples:
        configuration.check_overrides(words)


# --------------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("stage", configuration.table.STAGES)
def test_help_on_a_stage_shows_its_settings_with_their_comments(stage: str, say) -> None:
    status, out = say("help", stage)
    assert status == 0
    assert out.startswith(f"deepinside run={stage} [group=choice ...] [key=value ...]\n  {helping.WHAT[stage]}\n")
    shown = {line.strip() for line in out.splitlines()}
    name = {"localise": "simonyan2013", "concepts": "miniature"}.get(stage, "default")
    file = configuration.folder() / stage / f"{name}.yaml"
    assert file.is_file() == (stage in configuration.groups() and stage != "sweep")  # a sweep has no default
    if file.is_file():
        assert {line.strip() for line in file.read_text(encoding="utf-8").splitlines()} <= shown


def test_help_on_a_stage_names_what_it_takes(say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    out = say("help", "localise")[1]
    assert "  from prepare, train (with the default choices): computed first unless cached\n" in out
    assert re.search(r"^  model=convnet_mini +or \d+ others$", out, re.MULTILINE)
    assert re.search(r"^  data=miniature +or folder, ilsvrc, ", out, re.MULTILINE)
    assert re.search(r"^  best +Ours, with the same inputs as the paper's method", out, re.MULTILINE)
    assert "  method=[saliency,guided,deconvnet,class_model,class_model_softmax]  or" in say("help", "visualise")[1]
    assert program("run=localise", "--help", cwd=configuration.folder()).stdout == out


@pytest.mark.parametrize("group", configuration.groups())
def test_help_on_a_group_describes_every_choice(group: str, say) -> None:
    out = say("help", group)[1]
    known = configuration.groups()[group]
    for choice in known if len(known) > 1 else ():
        assert re.search(rf"^  {choice}  +\S", out, re.MULTILINE), choice


def test_help_on_a_choice_shows_its_file_and_what_it_varies(say) -> None:
    out = say("help", "method/guided")[1]
    assert "method=guided. To change a setting: method.guided.KEY=VALUE" in out
    assert "  rule: guided\n" in out
    assert "  layer: null # dotted name; null: the score of the class\n" in out  # of saliency, which it varies
    assert say("help", "method=guided")[1] == out
    assert say("help", "guided")[1].strip() == out.strip()  # no other group has such a choice
    both = say("help", "saliency")[1]
    assert "method=saliency." in both
    assert "watch=saliency." in both
    assert say("help", "data.root")[1] == say("help", "data")[1]
    recipe = say("help", "recipe/convnet_imagenette")[1]
    assert recipe.startswith("recipe@train=convnet_imagenette. To change a setting: train.KEY=VALUE")
    configuration.check_overrides(["recipe@train=convnet_imagenette", "train.epochs=2"])
    assert terminal.usage("clean") in say("help", "clean")[1]


@pytest.mark.parametrize(
    ("word", "said"),
    [("localize", "'localise'"), ("method/salency", "'saliency'"), ("hlep", "'help'"), ("data/x", "known: folder")],
)
def test_help_on_an_unknown_word_suggests_the_closest(word: str, said: str, say) -> None:
    with pytest.raises(KeyError, match=said):
        say("help", word)


# --------------------------------------------------------------------------------------------------------------- open


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked for."""
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or True)
    return asked


def report(outputs: Path, name: str) -> Path:
    folder = made(outputs, "report", {"name": name, "report": {}})
    (folder / "index.html").write_text(name)
    return folder


def test_open_shows_the_newest_report_or_the_one_named(tmp_path: Path, say, browser: list[str]) -> None:
    outputs = tmp_path / "my outputs"
    first, second = report(outputs, "first"), report(outputs, "second")
    words = ([], ["first"], [first.name[:6]], [second.name], [outputs / "report" / "latest"])
    for given in words:
        assert say("open", *given, "--outputs", outputs)[0] == 0
    expected = (second, first, first, second, second)
    assert browser == [(folder / "index.html").as_uri() for folder in expected]


def test_open_says_how_to_make_a_report(tmp_path: Path, world: SimpleNamespace, say, browser: list[str]) -> None:
    for outputs in (tmp_path / "absent", world.outputs):
        with pytest.raises(FileNotFoundError, match="deepinside run=report` makes one"):
            say("open", "--outputs", outputs)
    with pytest.raises(FileNotFoundError, match=r"expected the folder of a report, got no index\.html"):
        say("open", world.new[2])
    report(world.outputs, "first")
    with pytest.raises(KeyError, match=r"no report 'frist'.*'first'"):
        say("open", "frist", "--outputs", world.outputs)
    assert browser == []


def test_open_without_a_browser_names_the_file(tmp_path: Path, say, monkeypatch: pytest.MonkeyPatch) -> None:
    report(tmp_path, "first")
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    status, out = say("open", "--outputs", tmp_path)
    assert status == 1
    assert out.splitlines()[0] == str(tmp_path / "report" / "latest" / "index.html")


@pytest.mark.parametrize("command", terminal.COMMANDS)
def test_every_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        terminal.run(command, ["--help"])
    assert end.value.code == 0
    assert terminal.usage(command) in capsys.readouterr().out


def test_a_reader_that_has_enough_is_no_error(world: SimpleNamespace) -> None:
    command = f"{sys.executable} -m deepinside list {world.outputs} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_an_empty_folder_has_no_artifacts(tmp_path: Path, say) -> None:
    assert Inventory.of(tmp_path).items == ()
    assert say("list", tmp_path)[1].splitlines() == ["stage  fingerprint  made (UTC)  size  state  from"]


def test_a_manifest_without_a_record_of_the_time(world: SimpleNamespace, say) -> None:
    path = world.new[2] / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"record": {}}))
    assert "at an unknown time" in say("show", world.new[2])[1]
    assert say("list", world.outputs)[0] == 0
