"""The stage by itself: methods sorted by what they return, images set aside, views with their boxes, resuming."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from deepinside.data.index import Entry, Index
from deepinside.methods import activation_maximization
from deepinside.network import Network, Preprocessing
from deepinside.pipeline.configuration import composed, folder
from deepinside.records import Boxes, Row, Table
from deepinside.stages import visualise
from deepinside.study import Pictures, Study
from deepinside.visualisation.studies import pictures

CALLS: list[str] = []


def counted(network: Network, pictures: Pictures, *, times: int) -> Study:
    """A study that only counts.

    Returns:
        How many images could be read.
    """
    CALLS.append(f"counted {network.name}")
    read = sum(len(positions) for positions, _ in pictures.batches(2))
    return Study(pd.DataFrame({"read": [read * times]}), (Row("read", read * times, "images"),))


def net() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 24, 28), ["red", "blue"], "net")


def index(place: Path, broken: bool = False) -> Index:
    entries = []
    random = np.random.default_rng(0)
    for i, (height, width) in enumerate([(40, 60), (60, 40), (33, 33), (50, 70)]):
        pixels = random.integers(60, 120, (height, width, 3), dtype=np.uint8)
        pixels[8:30, 5:25, (0, 2)[i % 2]] = 250
        Image.fromarray(pixels).save(place / f"{i}.png")
        entries.append(Entry(f"p{i}", f"{i}.png", "val", i % 2, Boxes(np.array([[5, 8, 25, 30]])), width, height))
    if broken:
        (place / "2.png").write_bytes((place / "2.png").read_bytes()[:200])
    return Index(place, ("n0", "n1"), ("red", "blue"), tuple(entries))


def config(place: Path, **method: dict) -> object:
    study = {"_target_": f"{__name__}.counted", "times": 2}
    saliency = {"_target_": "deepinside.methods.saliency.saliency", "rule": "gradient"}
    return OmegaConf.create(
        {
            "seed": 0,
            "machine": {"device": "cpu", "workers": 0, "threads": 1},
            "data": {"root": str(place), "split": "val", "limit": None},
            "visualise": {"images": 2, "measured": 4, "classes": 2, "crops": "ten"},
            "method": method or {"saliency": saliency, "counted": study},
        }
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def ran(
        broken: bool = False, out: str = "out", judge: bool = False, classes: int | list = 2, **method: dict
    ) -> Path:
        data = tmp_path / "data"
        if not data.exists():
            data.mkdir()
        found = index(data, broken)
        monkeypatch.setattr(visualise, "open_network", lambda *_: net())
        monkeypatch.setattr(visualise, "open_index", lambda *_: found)
        (tmp_path / out).mkdir(exist_ok=True)
        cfg = config(data, **method)
        cfg.visualise.classes = classes
        inputs = {"prepare": data, "network": data} | ({"judge": data} if judge else {})
        visualise.run(cfg, inputs, tmp_path / out)
        return tmp_path / out

    return ran


def test_maps_are_drawn_for_some_and_measured_on_more(run) -> None:
    out = run()
    table = pd.read_csv(out / "per_image.csv")
    assert table["image"].tolist() == ["p0", "p1", "p2", "p3"]  # two drawn, then two that are only measured
    with np.load(out / "maps.npz") as maps:
        assert sorted(maps) == ["p0.saliency", "p1.saliency"]
    numbers = Table.read(out)
    right = (table["label"] == table["predicted"]).sum()
    assert right > 0
    ours = numbers["saliency.energy_in_box_over_area_share"]
    control = numbers["saliency.random_weights.energy_in_box_over_area_share"]
    above = numbers["saliency.energy_in_box_over_area_share_above_random_weights"]
    assert ours.n == control.n == above.n == right
    assert above.value == pytest.approx(ours.value - control.value)


def test_a_study_gets_what_its_parameters_name(run) -> None:
    out = run()
    assert pd.read_csv(out / "counted.csv")["read"].tolist() == [8]
    assert Table.read(out)["counted.read"].value == 8


AM = {
    **yaml.safe_load((folder() / "method" / "activation_maximization.yaml").read_text()),
    "steps": 3,
}


def test_pictures_of_classes_are_measured_and_judged_by_a_second_network(run) -> None:
    out = run(judge=True, classes=[0, 1], plain=AM, units=AM | {"layer": "0", "units": [1, 2]})
    table = pd.read_csv(out / "synthesis.csv")
    assert table["method"].tolist() == ["plain", "plain", "units", "units"]
    assert table["class"].tolist()[:2] == [0, 1]
    assert table["unit"].tolist()[2:] == [1, 2]
    assert table["first_top1"].dropna().isin([0, 1, 2]).all()
    assert table["judge_rank"].isna().tolist() == [False, False, True, True]
    assert (table["state"] == "ok").all()
    numbers = Table.read(out)
    assert numbers["plain.judge_top5"].value == 1  # of two classes
    assert numbers["plain.rank_one"].n == numbers["plain.rank_one_of_noise"].n == 2
    assert not any(row.metric == "units.rank_one_of_noise" for row in numbers.rows)
    assert numbers["plain.colour_distance"].value > 0
    with np.load(out / "synthesis.npz") as kept:
        assert kept["plain.images"].shape == (2, 24, 24, 3)
        assert kept["units.images"].shape == (2, 3, 3, 3)
        assert kept["plain.score"].shape == (3, 2)


def test_classes_may_be_named(run) -> None:
    assert pd.read_csv(run(classes=["Blue", 0], plain=AM) / "synthesis.csv")["class"].tolist() == [1, 0]
    with pytest.raises(KeyError, match="'blue'"):
        run(out="other", classes=["bleu"], plain=AM)


def test_classes_may_be_named_by_number(run) -> None:
    assert pd.read_csv(run(classes=[1], plain=AM) / "synthesis.csv")["class"].tolist() == [1]
    with pytest.raises(ValueError, match=r"0\.\.1"):
        run(out="other", classes=[2], plain=AM)


def test_pictures_that_are_made_are_not_made_again(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(visualise.Gallery, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            run(out="again", plain=AM)
    with monkeypatch.context() as patch:
        patch.setattr(activation_maximization, "ascend", killed)
        again = run(out="again", plain=AM)
    whole = run(out="whole", plain=AM)
    assert (whole / "synthesis.csv").read_bytes() == (again / "synthesis.csv").read_bytes()


def test_broken_pictures_are_set_aside_once_without_the_path_of_the_machine(run, tmp_path: Path) -> None:
    out = run(broken=True)
    with (out / "set_aside.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["2.png"]
    assert str(tmp_path) not in rows[0]["reason"]
    assert Table.read(out)["images_set_aside"].value == 1
    assert Table.read(out)["counted.read"].value == 6


def test_a_finished_study_is_not_conducted_again(run, monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    whole = run(out="whole")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(visualise.Gallery, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            run(out="again")
    again = run(out="again")
    assert CALLS == ["counted net"] * 2
    files = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}


def test_boxes_move_with_the_view(tmp_path: Path) -> None:
    seen = pictures(net(), index(tmp_path), "centre", [])
    # 40x60 (h, w): shorter side 28, so 28x42; the centre crop of 24 starts at (2, 9); the box scales by 0.7.
    assert seen.boxes[0].xyxy[0].tolist() == pytest.approx([0, 8 * 0.7 - 2, 25 * 0.7 - 9, 30 * 0.7 - 2])
    assert pictures(net(), index(tmp_path), "warp", []).boxes[0].xyxy[0].tolist() == pytest.approx(
        [5 * 24 / 60, 8 * 24 / 40, 25 * 24 / 60, 30 * 24 / 40]
    )
    assert seen.read(0).shape == (3, 24, 24)


def test_a_method_that_cannot_be_called_so_is_named_before_any_work(tmp_path: Path) -> None:
    wrong = {"_target_": "deepinside.methods.saliency.saliency", "rul": "gradient"}
    with pytest.raises(ValueError, match=r"has no parameter \['rul'\]"):
        visualise.check(config(tmp_path, saliency=wrong))
    with pytest.raises(ValueError, match="must be annotated `-> Maps`"):
        visualise.check(config(tmp_path, high={"_target_": "deepinside.metrics.high_frequency_share"}))


@pytest.mark.parametrize(
    ("method", "keys", "said"),
    [
        ("saliency", {"layer": "reul"}, r"method\.saliency\.layer: .* has no layer 'reul'; did you mean 'relu"),
        ("class_model", {"layer": "reul5"}, r"method\.class_model\.layer: .* no layer 'reul5'; did you mean 'relu5'"),
        ("top_activations", {"layer": "relu5x"}, r"method\.top_activations\.layer: .* did you mean 'relu5'"),
        (
            "inversion",
            {"layers": ["relu1", "probabilities", "rleu2"]},
            r"method\.inversion\.layers: .* 'rleu2'; .* 'relu2'",
        ),
        ("style_transfer", {"style_layers": ["relu6", "nonsense"]}, r"style_layers: .* 'nonsense'; known: conv1"),
        ("invariance", {"high": "relu0"}, r"method\.invariance\.high: .* 'relu0'; did you mean"),
    ],
)
def test_a_layer_that_is_not_there_is_named_before_any_work(method: str, keys: dict, said: str) -> None:
    cfg = composed([f"method=[{method}]", "model=convnet_micro"])
    visualise.check(cfg)
    cfg.method[method].update(keys)
    with pytest.raises(KeyError, match=said):
        visualise.check(cfg)


def test_a_layer_without_units_is_named_before_any_work() -> None:
    cfg = composed(["method=[am_best]", "method.am_best.layer=relu3", "model=convnet_micro"])
    with pytest.raises(ValueError, match=r"expected units of 'relu3', got none: units=\[3, 17\] for two of its units"):
        visualise.check(cfg)
    cfg.method.am_best.units = [3]
    visualise.check(cfg)


def test_codes_that_are_no_layers_are_left_to_the_stage_that_makes_them() -> None:
    visualise.check(composed(["method=[inversion_compared]", "invert.codes=[relu5,top5]"]))


def test_checkpoints_that_are_not_there_are_asked_for(run) -> None:
    with pytest.raises(ValueError, match=r"train\.keep"):
        run(early={"_target_": f"{__name__}.early"})


def early(network: Network, checkpoints: tuple) -> Study:
    """Never called."""
    raise AssertionError(network, checkpoints)
