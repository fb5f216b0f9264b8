"""What names an artifact and what does not; and that every configuration composes."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from deepinside import configuration, pipeline, planning

CONF = configuration.folder()


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def name(tmp_path: Path, stage: str, *overrides: str) -> str:
    return pipeline.Planner(tmp_path).plan(composed(*overrides), stage).folder.name


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
    plan = pipeline.Planner(tmp_path).plan(
        composed("model=squeezenet", f"model.weights={tmp_path / 'a.safetensors'}"), "dissect"
    )
    assert {role: p.stage.name for role, p in plan.inputs.items()} == {"concepts": "concepts", "network": "load"}


def test_no_path_reaches_what_names_the_artifact(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    cfg = composed("data=folder", f"data.root={tmp_path / 'data'}")
    for stage in ("prepare", "localise", "train"):
        assert str(tmp_path) not in str(pipeline.Planner(tmp_path).plan(cfg, stage).made_from)


def test_a_stage_sees_only_what_its_fingerprint_covers(tmp_path: Path) -> None:
    plan = pipeline.Planner(tmp_path).plan(composed(), "localise")
    assert set(plan.cfg) == {"localise", "data", "machine", "seed"}
    assert set(plan.cfg.data) == {"root", "split", "limit"}


def test_a_second_network_that_judges_is_trained_where_it_has_no_weights(tmp_path: Path) -> None:
    plan = pipeline.Planner(tmp_path).plan(composed("model@judge=convnet_micro"), "visualise")
    judge, ours = plan.inputs["judge"], plan.inputs["network"]
    assert (judge.stage.name, judge.cfg.model.name, ours.cfg.model.name) == ("train", "convnet_micro", "convnet_mini")
    assert judge.inputs["prepare"].folder == plan.inputs["prepare"].folder


def test_commands_to_quote_name_no_folder_of_this_machine() -> None:
    words = ["run=load", "model.weights=/home/me/w.pt", "outputs=/tmp", "machine.threads=1", "report.benchmarks=b.csv"]
    assert configuration.portable(words) == ["run=load", "model.weights=MODEL_WEIGHTS"]
    assert configuration.portable(["model.weights=random", "data.root=null"]) == [
        "model.weights=random",
        "data.root=null",
    ]


def test_unknown_stage_names_the_closest(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="localise"):
        name(tmp_path, "localize")


def test_missing_raw_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        name(tmp_path, "prepare", "data=ilsvrc", f"data.root={tmp_path / 'nowhere'}")
    with pytest.raises(FileNotFoundError, match=r"nowhere: expected Imagenette(.|\n)*data\.download=true"):
        name(tmp_path, "prepare", "data=imagenette", f"data.root={tmp_path / 'nowhere'}")


CHOICES = [
    (place.name, file.stem) for place in sorted(CONF.iterdir()) if place.is_dir() for file in place.glob("*.yaml")
]


@pytest.mark.parametrize(("group", "choice"), sorted(CHOICES))
def test_every_choice_composes_and_resolves(group: str, choice: str) -> None:
    cfg = composed(f"{group}=[{choice}]" if group == "method" else f"{group}={choice}")
    from omegaconf import OmegaConf

    assert OmegaConf.to_container(cfg, resolve=True)


def test_the_report_takes_all_artifacts_of_all_runs(tmp_path: Path) -> None:
    cfg = composed("experiment=reproduce")
    plan = planning.planned(pipeline.Planner(tmp_path), cfg, ["experiment=reproduce"])
    assert set(plan.inputs) == {
        *("prepare", "concepts", "train", "invert", "visualise", "localise", "dissect", "claims"),
        *(f"{stage}.photos.efficientnet_lite0" for stage in ("prepare", "load", "visualise")),
        "visualise.real.attacks",  # what the claims rest on beside
    }
    looks = plan.inputs["claims"].inputs
    assert looks["miniature.looks"].folder == plan.inputs["visualise"].folder
    assert looks["real.looks"].folder == plan.inputs["visualise.photos.efficientnet_lite0"].folder
