"""What names an artifact and what does not; and that every configuration composes."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict
from tests.shared import SHARED, needs_shared

from deepinside.artifacts import digest
from deepinside.models import pretrained
from deepinside.pipeline import configuration, plan, table
from deepinside.pipeline.plan import Planner, planned

CONF = configuration.folder()


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def name(tmp_path: Path, stage: str, *overrides: str) -> str:
    return Planner(tmp_path).plan(composed(*overrides), stage).folder.name


@pytest.mark.parametrize(
    ("stage", "override", "changes"),
    [
        ("prepare", "data.limit=5", False),  # restricts what is looked at, not what is listed
        ("visualise", "data.limit=5", True),
        ("localise", "data.limit=5", True),
        ("train", "data.limit=5", False),
        ("dissect", "data.limit=5", False),
        ("dissect", "concepts.limit=5", True),
        ("concepts", "concepts.limit=5", False),
        ("localise", "concepts.limit=5", False),
        ("train", "train.limit=5", True),
        ("localise", "train.limit=5", True),  # through its input
        ("prepare", "train.limit=5", False),
        ("localise", "seed=1", True),
        ("prepare", "seed=1", False),  # the world has a seed of its own
        ("concepts", "seed=1", False),
        ("localise", "localise.gamma=51", True),
        ("visualise", "localise.gamma=51", False),
        ("localise", "machine.workers=7", False),
        ("localise", "machine.threads=3", False),
        ("localise", "machine.device=cpu", False),
        ("localise", "wandb=disabled", False),
        ("localise", "name=other", False),
        ("localise", "method.saliency.rule=guided", False),
        ("visualise", "method.saliency.rule=guided", True),
        ("visualise", "visualise.images=3", True),
        ("train", "model.dropout=0.1", True),
    ],
)
def test_fingerprint_changes_exactly_with_what_matters(
    tmp_path: Path, stage: str, override: str, changes: bool
) -> None:
    assert (name(tmp_path, stage) != name(tmp_path, stage, override)) is changes


def test_seed_zero_is_a_seed(tmp_path: Path) -> None:
    assert name(tmp_path, "train", "seed=0") == name(tmp_path, "train")
    assert composed("seed=0").seed == 0


def test_content_of_raw_data_counts_and_not_its_place(tmp_path: Path) -> None:
    roots = []
    for place in ("here", "there"):
        root = tmp_path / place
        (root / "class_a").mkdir(parents=True)
        (root / "class_a" / "x.jpg").write_bytes(b"1")
        roots.append(root)
    names = [name(tmp_path, "prepare", "data=folder", f"data.root={root}") for root in roots]
    assert names[0] == names[1]
    (roots[1] / "class_a" / "x.jpg").write_bytes(b"22")
    assert name(tmp_path, "prepare", "data=folder", f"data.root={roots[1]}") != names[0]


def test_boxes_that_come_apart_count_by_content(tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    words = ("data=imagenette", f"data.root={tmp_path / 'data'}")
    names = {name(tmp_path, "prepare", *words)}
    for file, content in (("a.csv", "1"), ("b.csv", "1"), ("c.csv", "2")):
        (tmp_path / file).write_text(content)
        names.add(name(tmp_path, "prepare", *words, f"data.boxes={tmp_path / file}"))
    assert len(names) == 3
    assert configuration.portable(["data.boxes=/home/me/b.csv"]) == ["data.boxes=DATA_BOXES"]


def test_weights_count_by_content_and_a_loaded_network_needs_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"1")
    (tmp_path / "b.safetensors").write_bytes(b"1")
    names = [
        name(tmp_path, "load", "model=squeezenet", f"model.weights={tmp_path / file}")
        for file in ("a.safetensors", "b.safetensors")
    ]
    assert names[0] == names[1]
    plan = Planner(tmp_path).plan(
        composed("model=squeezenet", f"model.weights={tmp_path / 'a.safetensors'}"), "dissect"
    )
    assert {role: p.stage.name for role, p in plan.inputs.items()} == {"concepts": "concepts", "network": "load"}


def test_a_file_that_a_method_reads_counts_by_content(tmp_path: Path) -> None:
    for file, content in (("a.png", b"1"), ("b.png", b"1"), ("c.png", b"22")):
        (tmp_path / file).write_bytes(content)
    chosen, key = "method=[style_only,style_transfer]", "method.style_only.style_file"  # one inherits from the other
    first, same, other = (name(tmp_path, "visualise", chosen, f"{key}={tmp_path}/{file}.png") for file in "abc")
    assert first == same
    assert len({first, other, name(tmp_path, "visualise", chosen)}) == 3
    with pytest.raises(FileNotFoundError, match=rf"{key}=.*none\.png"):
        name(tmp_path, "visualise", chosen, f"{key}={tmp_path / 'none.png'}")


def test_lists_beside_kaggles_folder_count(tmp_path: Path) -> None:
    root = tmp_path / "data" / "ILSVRC"
    root.mkdir(parents=True)
    (root / "x.JPEG").write_bytes(b"1")
    kaggle = ("data=ilsvrc", f"data.root={root}")
    names = {name(tmp_path, "prepare", *kaggle)}
    for content in ("a", "bb"):
        (root.parent / "LOC_val_solution.csv").write_text(content)
        names.add(name(tmp_path, "prepare", *kaggle))
    assert len(names) == 3
    (root.parent / "notes.txt").write_text("nobody reads them")
    assert name(tmp_path, "prepare", *kaggle) in names


def test_the_order_of_priors_and_methods_counts(tmp_path: Path) -> None:
    priors = ("jitter={pixels: 8}", "blur={sigma: 1.0, every: 4}")  # each works on what the one before it left
    orders = (priors, tuple(reversed(priors)))
    words = [[f"+method.class_model.priors.{prior}" for prior in order] for order in orders]
    first, second = (name(tmp_path, "visualise", "method=[class_model]", *order) for order in words)
    assert first != second
    first, second = (
        name(tmp_path, "visualise", f"method=[{order}]") for order in ("guided,saliency", "saliency,guided")
    )
    assert first != second  # so are its tables and images


def test_the_code_of_a_claims_measure_counts(tmp_path: Path, modules: Callable) -> None:
    register = tmp_path / "register"
    register.mkdir()
    stated = "{statement: s, source: p, tag: S, predicted: x, otherwise: y, rule: {above: 1}, "
    stated += "null: {name: n, value: 0}, measure: {%s}}"
    text = stated % "function: measured.value, evidence: []"
    (register / "mine.yaml").write_text(f"claims:\n  C01: {text}\n")
    modules({"measured.py": "def value(_folders): return 1\n"})
    words = ["run=claims", f"claims.register={register}", "claims.worlds.real=null"]

    def named() -> str:
        return planned(Planner(tmp_path), composed(*words), words).folder.name

    before = named()
    modules({"measured.py": "def value(_folders): return 2\n"})
    assert named() != before
    assert plan._targets({"function": "relu", "plot": None, "target": "score"}) == set()  # words, not modules
    functions = "deepinside.claims.functions"
    assert functions in digest.closure(plan._targets({"C01": {"function": f"{functions}.rank_correlation"}}))


def test_no_path_reaches_what_names_the_artifact(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    cfg = composed("data=folder", f"data.root={tmp_path / 'data'}")
    for stage in ("prepare", "localise", "train"):
        assert str(tmp_path) not in str(Planner(tmp_path).plan(cfg, stage).made_from)


@pytest.mark.parametrize("run", ["claims", "report"])
def test_no_path_of_another_run_names_the_artifact(tmp_path: Path, run: str) -> None:
    stated = "{statement: s, source: p, tag: S, predicted: x, otherwise: y, rule: {above: 1}, "
    stated += "null: {name: n, value: 0}, measure: %s}"
    measure = "{function: deepinside.claims.functions.concentration, evidence: [looks], of: guided, minus: saliency}"
    (tmp_path / "register").mkdir()
    (tmp_path / "register" / "mine.yaml").write_text(
        f"evidence: {{looks: {{run: [run=prepare], needs: [photographs]}}}}\nclaims: {{C01: {stated % measure}}}\n"
    )
    names, told = [], ""
    for place in ("here", "there"):
        (tmp_path / place / "a").mkdir(parents=True)
        (tmp_path / place / "a" / "x.jpg").write_bytes(b"1")
        data = f"data.root={tmp_path / place}"
        words = {
            "claims": [f"claims.worlds.real='data=photos {data}'", f"claims.register={tmp_path / 'register'}"],
            "report": ["report.stages=[prepare]", f"report.also=[['run=prepare','data=photos','{data}']]"],
        }[run]
        words = [f"run={run}", *words]
        plan = planned(Planner(tmp_path), composed(*words), words)
        assert any(one.stage.name == "prepare" for one in plan.inputs.values())
        names.append(plan.folder.name)
        told += str([plan.made_from, plan.command, *(one.command for one in plan.inputs.values())])
    assert names[0] == names[1]
    assert str(tmp_path) not in told


def test_a_claim_whose_files_are_missing_stops_the_others_only_if_it_shall(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_bytes(b"1")
    (tmp_path / "mine.yaml").write_text(
        "evidence:\n"
        "  listed: {run: [run=prepare]}\n"
        "  loaded: {run: [run=localise, model=squeezenet, model.weights=nowhere.safetensors]}\n"
        "claims:\n"
        "  C01: &c {statement: s, source: p, tag: S, predicted: x, otherwise: y, rule: {above: 1}, "
        "measure: {evidence: listed, metric: images}, null: {name: none, value: 0}}\n"
        "  C02: {<<: *c, measure: {evidence: loaded, metric: images}}\n"
    )
    words = ["run=claims", f"claims.register={tmp_path}", "claims.worlds.miniature=null"]
    words += [f"claims.worlds.real='data=photos data.root={tmp_path}'"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        planned(Planner(tmp_path), composed(*words), words)
    found = planned(Planner(tmp_path), composed(*words, "report.skip_missing=true"), words)
    assert list(found.inputs) == ["real.listed"]
    assert found.cfg.claims.lacking.real == {"C01": [], "C02": ["files that loaded reads"]}


def test_a_stage_sees_only_what_its_fingerprint_covers(tmp_path: Path) -> None:
    plan = Planner(tmp_path).plan(composed(), "localise")
    assert set(plan.cfg) == {"localise", "data", "machine", "seed"}
    assert set(plan.cfg.data) == {"root", "split", "limit"}


def test_a_second_network_that_judges_is_trained_where_it_has_no_weights(tmp_path: Path) -> None:
    plan = Planner(tmp_path).plan(composed("model@judge=convnet_micro"), "visualise")
    judge, ours = plan.inputs["judge"], plan.inputs["network"]
    assert (judge.stage.name, judge.cfg.model.name, ours.cfg.model.name) == ("train", "convnet_micro", "convnet_mini")
    assert judge.inputs["prepare"].folder == plan.inputs["prepare"].folder


def test_commands_to_quote_name_no_folder_of_this_machine() -> None:
    words = ["run=load", "model.weights=/home/me/w.pt", "outputs=/tmp", "machine.threads=1", "report.benchmarks=b.csv"]
    assert configuration.portable(words) == ["run=load", "model.weights=MODEL_WEIGHTS"]
    assert configuration.portable(["method.x.style_file=/home/me/x.png", "claims.register='/home/me/r'"]) == [
        "method.x.style_file=METHOD_X_STYLE_FILE",
        "claims.register=CLAIMS_REGISTER",
    ]
    assert configuration.portable(["claims.worlds.real='data=photos data.root=/home/me model=alexnet'"]) == [
        "claims.worlds.real='data=photos data.root=DATA_ROOT model=alexnet'"
    ]
    assert configuration.portable(["model.weights=random", "data.root=null"]) == [
        "model.weights=random",
        "data.root=null",
    ]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Writes a user's modules, file -> code, to a folder on Python's path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(files: dict[str, str]) -> None:
        for file, text in files.items():
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(text)
        for cached in (digest._file, digest._tree, digest.imported, digest._acting):
            cached.cache_clear()

    return write


def test_two_functions_of_one_module_are_two_networks(tmp_path: Path, modules: Callable) -> None:
    modules({"two.py": "def small(): ...\ndef large(): ...\n"})
    own = ("model=custom", "model.input=32", "model.resize=36")
    for stage in ("load", "dissect"):  # itself, and one that takes it
        small, large = (name(tmp_path, stage, *own, f"model.target=two:{one}") for one in ("small", "large"))
        assert small != large


def test_a_network_of_ones_own_without_a_function_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model=custom needs a function: model\.target="):
        name(tmp_path, "load", "model=custom")


def test_code_that_a_network_imports_counts(tmp_path: Path, modules: Callable) -> None:
    own = ("model=custom", "model.target=shallow:net")
    modules({"nets/__init__.py": "", "nets/blocks.py": "WIDTH = 4\n", "nets/deep.py": "from .blocks import WIDTH\n"})
    modules({"shallow.py": "import nets.deep\nimport numpy\ndef net(): ...\n", "alone.py": "X = 1\n"})
    before = name(tmp_path, "load", *own)
    modules({"alone.py": "X = 2\n"})
    assert name(tmp_path, "load", *own) == before
    modules({"nets/blocks.py": "WIDTH = 8\n"})
    changed = name(tmp_path, "load", *own)
    assert changed != before
    modules({"nets/__init__.py": "WIDTH = 1\n"})  # runs before any module of the package
    assert name(tmp_path, "load", *own) != changed


def test_unknown_stage_names_the_closest(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="localise"):
        name(tmp_path, "localize")


def test_missing_raw_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected a folder(.|\n)*from Kaggle, competition"):
        name(tmp_path, "prepare", "data=ilsvrc", f"data.root={tmp_path / 'nowhere'}")
    with pytest.raises(FileNotFoundError, match=r"nowhere(.|\n)*netdissect"):
        name(tmp_path, "concepts", "concepts=broden", f"concepts.root={tmp_path / 'nowhere'}")
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected Imagenette(.|\n)*data\.download=true"):
        name(tmp_path, "prepare", "data=imagenette", f"data.root={tmp_path / 'nowhere'}")


def test_a_report_may_go_on_without_what_is_missing(tmp_path: Path) -> None:
    missing = f"'run=prepare','data=ilsvrc','data.root={tmp_path / 'nowhere'}'"
    words = ["run=report", "report.stages=[prepare]", f"report.also=[[{missing}],['run=load','model=squeezenet']]"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        planned(Planner(tmp_path), composed(*words), words)
    plan = planned(Planner(tmp_path), composed(*words, "report.skip_missing=true"), words)
    assert set(plan.inputs) == {"prepare"}
    data, weights = plan.cfg.report.missing
    assert data.startswith("run=prepare data=ilsvrc data.root=DATA_ROOT: ")
    assert "ILSVRC" in data  # how to get it
    assert weights.startswith("run=load model=squeezenet: ")
    assert "model.weights=FILE" in weights


@needs_shared
def test_photographs_take_three_networks_and_name_what_is_missing(tmp_path: Path) -> None:
    data = [f"data.root={SHARED / 'data/imagenette'}", f"concepts.root={SHARED / 'data/broden_photos'}"]
    words = ["experiment=photographs", *data, f"photographs.ilsvrc={tmp_path / 'nowhere'}"]
    plan = planned(Planner(tmp_path), composed(*words), words)
    assert {key.partition(".")[2] for key in plan.inputs} == {
        *("", "imagenette.convnet_imagenette", "imagenette.efficientnet_lite0"),
    }
    squeezenet, ilsvrc = "model=squeezenet", "data=ilsvrc"
    missing = plan.cfg.report.missing
    assert [squeezenet in one for one in missing] == [True, True, True, False, True]
    assert [ilsvrc in one for one in missing] == [False, False, True, True, False]


def test_nothing_but_what_is_missing_is_an_error(tmp_path: Path) -> None:
    words = ["run=report", "report.stages=[prepare]", "report.skip_missing=true"]
    words += ["data=ilsvrc", f"data.root={tmp_path / 'nowhere'}"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        planned(Planner(tmp_path), composed(*words), words)


PLACES = {"recipe": "recipe@train"}  # groups whose keys belong to another one
CHOICES = [
    (place.name, file.stem) for place in sorted(CONF.iterdir()) if place.is_dir() for file in place.glob("*.yaml")
]


@pytest.mark.parametrize(("group", "choice"), sorted(CHOICES))
def test_every_choice_composes_and_resolves(group: str, choice: str) -> None:
    cfg = composed(f"{group}=[{choice}]" if group == "method" else f"{PLACES.get(group, group)}={choice}")
    assert OmegaConf.to_container(cfg, resolve=True)


def test_the_report_takes_all_artifacts_of_all_runs(tmp_path: Path) -> None:
    cfg = composed("experiment=reproduce")
    plan = planned(Planner(tmp_path), cfg, ["experiment=reproduce"])
    assert set(plan.inputs) == {
        *("prepare", "concepts", "train", "invert", "visualise", "localise", "dissect", "claims"),
        *(f"{stage}.photos.efficientnet_lite0" for stage in ("prepare", "load", "visualise")),
    }
    evidence = plan.inputs["claims"].inputs
    assert evidence["miniature.boxes"].folder == plan.inputs["localise"].folder
    assert evidence["miniature.dissect"].folder == plan.inputs["dissect"].folder


# ---------------------------------------------------------------------------- every key of the whole configuration

# Keys that cannot change a result, each with its reason; a test below holds them to it.
NO_EFFECT = {
    "run": "says which stage is asked for, not how it is made",
    "outputs": "the place of all artifacts",
    "estimate": "another answer, of which no artifact is made",
    "machine.*": "where and how fast; conf/machine/default.yaml says so of the last bits, too",
    "wandb.*": "a mirror of what is finished",
    "data.download": "how the files got there; their content counts",
    "concepts.download": "likewise",
    "data.size": "likewise",
    "sweep.fixed": "the points see what it sets, and they are the sweep's inputs: a test of its own",
}
SPECIAL = {"data.digest": "stat"}  # another value, where only some are known
TURNS = ("data", "concepts", "model", "train", "invert", "localise", "dissect", "watch")
Leaf = tuple[str, ...]


def leaves(content: Any, at: Leaf = ()) -> dict[Leaf, Any]:
    """Path -> value that is no mapping, or an empty one."""
    if not isinstance(content, dict) or not content:
        return {at: content}
    return {leaf: value for key, part in content.items() for leaf, value in leaves(part, (*at, key)).items()}


def files(cfg: DictConfig) -> set[str]:
    """Keys that name files or folders."""
    of_methods = {f"method.{name}.{key}" for name, keys in cfg.method.items() for key in keys.get("files", ())}
    known = {key for stage in table.STAGES.values() for key in (*stage.files, *stage.places)}
    return known | of_methods | {"judge.weights"}


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [*value, "x"]
    return {"x": 1} if isinstance(value, dict) else f"{value or ''}x"


@contextmanager
def edited(cfg: DictConfig, leaf: Leaf, value: Any) -> Generator[None]:
    *places, last = leaf
    holder = cfg
    for place in places:
        holder = holder[place]
    with open_dict(cfg):
        before = OmegaConf.to_container(holder)[last]
        holder[last] = value
        try:
            yield
        finally:
            holder[last] = before


def whole(folder: Path) -> Iterator[DictConfig]:
    """Configurations in which every key is active; all choices of the groups that stages see have their turn."""
    of = {group: [choice for one, choice in sorted(CHOICES) if one == group] for group in (*TURNS, "method")}
    rounds = (len(of["model"]) + 1) // 2  # the other half judges
    for number in range(rounds):
        words = [f"{group}={of[group][number % len(of[group])]}" for group in TURNS]
        words += [f"model@judge={of['model'][number - rounds]}", f"method=[{','.join(of['method'][number::rounds])}]"]
        cfg = composed(
            *words, "sweep=localise_best", *(f"{key}={folder / 'old'}" for key in ("data.root", "concepts.root"))
        )
        for group in (cfg.data, cfg.concepts):
            with open_dict(group):
                group.pop("fetch", None)  # it would look for a real one
        for model in (cfg.model, cfg.judge):
            model.weights = str(folder / "old" / "file")
            if OmegaConf.is_missing(model, "target"):
                model.target = "two:small"
        for key in ("words", "glossary", "chapters", "findings", "showcase"):  # two of a hundred alike
            part = OmegaConf.to_container(cfg.report[key])
            cfg.report[key] = dict(list(part.items())[:2]) if isinstance(part, dict) else part[:2]
        yield cfg


@pytest.fixture
def places(tmp_path: Path, modules: Callable) -> Path:
    """Two files in two folders, `old` and `new`, that differ, and a network of one's own."""
    modules({"two.py": "def small(): ...\n"})
    for place in ("old", "new"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "file").write_text(place)
    return tmp_path


def test_every_key_that_can_change_a_result_changes_the_fingerprint(places: Path) -> None:
    planner, tested, silent = Planner(places), set(), []
    for cfg in whole(places):
        named = files(cfg)
        plans = {stage: planner.plan(cfg, stage) for stage in table.STAGES}
        seen = {stage: leaves(plan.view) for stage, plan in plans.items()}
        for leaf, value in leaves(OmegaConf.to_container(cfg)).items():
            key = ".".join(leaf)
            if (leaf, str(value)) in tested or any(fnmatchcase(key, pattern) for pattern in NO_EFFECT):
                continue
            tested.add((leaf, str(value)))
            new = SPECIAL.get(key, another(value))
            if key in named:
                new = str(places / "new" if key.endswith(".root") else places / "new" / "file")
            own = [stage for stage in plans if leaf in seen[stage] and key not in table.STAGES[stage].places]
            with edited(cfg, leaf, new):
                if own:  # what takes the artifacts of these stages has their names in its own fingerprint
                    after = {stage: planner.plan(cfg, stage, inputs=plans[stage].inputs) for stage in own}
                    silent += [f"{key}={new} ({stage})" for stage in own if after[stage].folder == plans[stage].folder]
                elif all(planner.plan(cfg, stage).folder == plan.folder for stage, plan in plans.items()):
                    silent.append(f"{key}={new}")
    assert len(tested) > 500
    assert not silent


def test_keys_that_cannot_change_a_result_do_not_change_the_fingerprint(places: Path) -> None:
    planner, tested, matched = Planner(places), set(), set()
    for cfg in whole(places):
        before = {stage: planner.plan(cfg, stage).folder for stage in table.STAGES}
        for leaf, value in leaves(OmegaConf.to_container(cfg)).items():
            patterns = [pattern for pattern in NO_EFFECT if fnmatchcase(".".join(leaf), pattern)]
            matched |= set(patterns)
            if patterns and leaf not in tested:
                tested.add(leaf)
                with edited(cfg, leaf, another(value)):
                    assert {stage: planner.plan(cfg, stage).folder for stage in table.STAGES} == before, leaf
    assert matched == NO_EFFECT.keys()  # a key that is gone is none of the list


def test_what_a_sweep_fixes_is_in_its_points(tmp_path: Path) -> None:
    grid = ("sweep=custom", "sweep.stage=prepare", "+sweep.grid.data.draw.train=[10]", "sweep.metrics.shown=[boxes]")
    names = set()
    for fixed in ("data.draw.val=5", "data.draw.val=6"):
        words = [*grid, f"sweep.fixed=['{fixed}']"]
        names.add(planned(Planner(tmp_path), composed(*words), words).folder.name)
    assert len(names) == 2


def keys_of_files() -> list[tuple[str, str]]:
    """Stage and key of everything that a stage reads, itself or where its inputs found it."""
    of_stages = [(name, key) for name, stage in table.STAGES.items() for key in (*stage.files, *stage.places)]
    return [*of_stages, ("visualise", "judge.weights"), ("visualise", "method.style_transfer.style_file")]


@pytest.mark.parametrize(("stage", "key"), keys_of_files())
def test_the_content_of_a_file_counts_and_not_its_place(places: Path, stage: str, key: str) -> None:
    words = (
        "method=[style_transfer,correspondence]",
        "model=squeezenet",
        "model.weights=random",
        "model@judge=squeezenet",
    )
    cfg, planner = composed(*words, "judge.weights=random"), Planner(places)

    def named(place: str) -> str:
        with open_dict(cfg):  # not every data set has every key
            OmegaConf.update(cfg, key, str(places / place if key.endswith(".root") else places / place / "file"))
        return planner.plan(cfg, stage).folder.name

    first = named("old")
    (places / "old").rename(places / "elsewhere")
    assert named("elsewhere") == first
    (places / "elsewhere" / "file").write_text("changed")
    assert named("elsewhere") != first


@pytest.mark.parametrize("model", [one for group, one in sorted(CHOICES) if group == "model"])
def test_other_weights_make_another_network(places: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, maker in enumerate(("_downloaded", "_packaged")):
        (places / maker).write_bytes(bytes([number]))
        monkeypatch.setattr(pretrained, maker, lambda *_, path=places / maker: path)
    cfg, planner = composed(f"model={model}", "model.fit=true"), Planner(places)
    if OmegaConf.is_missing(cfg.model, "target"):
        cfg.model.target = "two:small"
    kinds = [None, "random", "package", str(places / "new" / "file"), *(["torchvision"] if "arch" in cfg.model else [])]
    found = set()
    for cfg.model.weights in kinds:
        network = planner.plan(cfg, "dissect").inputs["network"]
        found.add((network.stage.name, network.folder.name))
    assert len(found) == len(kinds)
