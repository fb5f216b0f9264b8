"""One's own masks and annotations, from the command line to the detectors of a network."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from deepinside.pipeline import configuration
from deepinside.pipeline.execution import execute
from deepinside.pipeline.plan import Planner
from deepinside.records import Table

NET = """from torch import nn


class Red(nn.Module):
    \"\"\"One unit is the red, the other the green of a pixel, so that what each detects is known.\"\"\"

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 2, 1)
        nn.init.zeros_(self.look.bias)
        self.look.weight.data.copy_(torch.eye(3)[:2, :, None, None])
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.look(x)).mean((2, 3))
"""
H, W, SIDE = 24, 30, 6  # a square is 36 of 720 pixels, 5 % of an image; `dissect.quantile` is half of that


def square(number: int) -> np.ndarray:
    where = np.zeros((H, W), dtype=bool)
    y, x = 2 * number, 24 - 2 * number
    where[y : y + SIDE, x : x + SIDE] = True
    return where


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey images with a red square that is a mask of `berry`; a green corner is one of `leaf`."""
    root = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    annotations = []
    for folder in ("images", "masks/berry", "masks/leaf"):
        (root / folder).mkdir(parents=True)
    for number in range(8):
        pixels = random.integers(0, 60, (H, W, 3), dtype=np.uint8)
        leaf = np.zeros((H, W), dtype=bool)
        leaf[-SIDE:, :SIDE] = True
        for where, channel in ((square(number), 0), (leaf, 1)):
            pixels[where, channel] = random.integers(200, 256, SIDE * SIDE)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        for name, where in (("berry", square(number)), ("leaf", leaf)):
            Image.fromarray(where.astype(np.uint8) * 255).save(root / "masks" / name / f"{number}.png")
        y, x = np.argwhere(square(number))[0].tolist()
        polygon = [x, y, x + SIDE, y, x + SIDE, y + SIDE, x, y + SIDE]
        annotations.append({"id": number, "image_id": number, "category_id": 4, "segmentation": [polygon]})
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(8)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 4, "name": "berry"}]}
    (root / "instances.json").write_text(json.dumps(content))
    (root / "red.py").write_text("import torch\n" + NET)
    return root


def ran(place: Path, stage: str, outputs: Path, *words: str) -> Path:
    own = [f"concepts.root={place}", "model=custom", "model.target=red:Red", "model.input=24", "model.resize=24"]
    own += ["model.mean=[0,0,0]", "model.std=[1,1,1]", "wandb=disabled", "machine.workers=0", "machine.threads=1"]
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        cfg = compose("config", overrides=[*own, *words])
    return execute(Planner(outputs).plan(cfg, stage))


def test_dissect_finds_what_the_masks_outline(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(place)
    (place / "images" / "broken.png").write_bytes(b"no image")
    (place / "masks" / "leaf" / "broken.png").write_bytes(b"no mask")
    quantile = SIDE * SIDE / (H * W)  # all that is red, and nothing else
    words = ("concepts=masks", "dissect.layers=[act]", f"dissect.quantile={quantile}", "dissect.cards=2")
    out = ran(place, "dissect", tmp_path, *words)
    units = pd.read_csv(out / "units.csv").set_index("unit")
    assert [units.loc[unit, "label"] for unit in units.index] == ["berry", "leaf"]
    assert units["score"].min() > 0.99  # but for the one pixel at the threshold itself
    concepts = next((tmp_path / "concepts").glob("*/table.csv")).parent
    table = Table.read(concepts)
    assert (table["images"].value, table["concepts"].value, table["images_set_aside"].value) == (8, 2, 1)
    with (concepts / "set_aside.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["images/broken.png"]


def test_coco_end_to_end(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(place)
    paths = ("concepts.convert.images=images", "concepts.convert.annotations=instances.json")
    quantile = SIDE * SIDE / (H * W)
    words = ("concepts=coco", *paths, "dissect.layers=[act]", f"dissect.quantile={quantile}", "dissect.cards=1")
    units = pd.read_csv(ran(place, "dissect", tmp_path, *words) / "units.csv").set_index("unit")
    assert set(units["label"]) == {"berry"}
    assert units["score"].iloc[0] > 0.99
    assert units["score"].iloc[1] == 0  # the green corner is never a berry


def test_without_a_folder_nothing_starts(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"name it, concepts\.root=FOLDER"):
        ran(place, "concepts", tmp_path, "concepts=masks", "concepts.root=null")


@pytest.mark.parametrize("folder", ["/elsewhere", ".."])
def test_what_lies_outside_the_folder_is_refused(place: Path, tmp_path: Path, folder: str) -> None:
    # it would not count: after a change the old concepts would be taken
    with pytest.raises(ValueError, match=r"concepts\.convert\.annotations=.*instances\.json: expected a path below"):
        ran(place, "concepts", tmp_path, "concepts=coco", "concepts.convert.images=images",
            f"concepts.convert.annotations={folder}/instances.json")  # fmt: skip
