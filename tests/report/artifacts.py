"""Small artifacts as stages leave them, to make pages of."""

import csv
import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from deepinside.records import Row, Table
from deepinside.report.settings import Settings

CONFIG = Path(__file__).parents[2] / "conf" / "report" / "default.yaml"


def config(**changes):
    return yaml.safe_load(CONFIG.read_text(encoding="utf-8")) | changes


def settings(**changes):
    return Settings.of(config(**changes))


def picture(path, height=40, width=60, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def artifact(
    outputs,
    stage,
    fingerprint,
    *,
    rows=(),
    pictures=(),
    config=None,
    inputs=None,
    sheets=None,
    names=None,
    about=(),
    panes=(),
    **more,
):
    folder = Path(outputs) / stage / fingerprint
    folder.mkdir(parents=True)
    Table(rows).write(folder)
    if pictures:
        names = names or [str(n) for n in range(len(pictures))]
        listed = [(f"pictures/{name}.png", *words, "", "") for name, words in zip(names, pictures, strict=True)]
        listed = [(*one[:5], text) for one, text in zip(listed, about, strict=True)] if about else listed
        for seed, (file, *_) in enumerate(listed):
            picture(folder / file, seed=seed)
        write(folder / "pictures.csv", [("file", "group", "title", "caption", "settings", "about"), *listed])
    if panes:  # of the first image
        parts = [(f"pictures/panes/{n}.png", listed[0][0], len(panes), *words) for n, words in enumerate(panes)]
        for seed, (file, *_) in enumerate(parts):
            picture(folder / file, seed=100 + seed)
        write(folder / "panes.csv", [("file", "of", "columns", "kind", "title", "note"), *parts])
    for name, lines in (sheets or {}).items():
        write(folder / name, lines)
    made_from = {"stage": stage, "seed": 0, "config": config or {}, "inputs": inputs or {}, "raw": {}, "source": "0"}
    files = {
        path.relative_to(folder).as_posix(): {"sha256": "0", "bytes": 1}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {"stage": stage, "fingerprint": fingerprint, "made_from": made_from | more, "files": files}
    record = {"created": "2031-01-02T03:04:05", "seconds": 12345.6, "device": "record-device"}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"record": record}), encoding="utf-8")
    return folder


def write(path, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


LABELS = ("zebra", "wheel", "sky")
# 30 units: unit n of conv1 (even n) or conv2 (odd n) detects the object LABELS[n % 3] with IoU n / 40.
UNITS = [
    (
        "layer",
        "unit",
        "threshold",
        "category",
        "label",
        "score",
        "object-label",
        "object-iou",
        "part-label",
        "part-iou",
    ),
    *(
        (f"conv{n % 2 + 1}", n, 1.5, "object", LABELS[n % 3], n / 40, LABELS[n % 3], n / 40, "leg", 0.005)
        for n in range(30)
    ),
]
# 25 images: image n shows class n % 4, its box has IoU n / 25 and its class is seen first where n is even.
BOXES = [
    ("image", "label", "iou_known", "iou_whole_image", "iou_centre_box", "cls_error_1", "cls_error_5"),
    *((f"img_{n:02d}", n % 4, n / 25, 0.25, 0.5, n % 2, int(n == 1)) for n in range(25)),
]
COLUMNS = (
    "id", "verdict", "statement", "world", "metric", "value", "ci_low", "ci_high", "n", "predicted", "source",
    "artifact",
)  # fmt: skip
ENERGY = "saliency.energy_in_box_over_area_share"
CLAIMS = [
    COLUMNS,
    ("C01", "supported", "Maps lie on it", "miniature", ENERGY, 1.75, 1.5, 2, 40, "above 1", "S13, sec. 3", "b0"),
    ("C02", "contradicted", "Boxes win", "ilsvrc", "top1_localisation_error", 40, 35, 45, 40, "", "S13", "localise/a0"),
    ("C03", "undecided", "Units <detect> it", "miniature", "another number", 5, 3, 7, 16, "above 4", "B17", "d0;b0"),
    ("C04", "needs_data", "GoogLeNet | on ILSVRC", "ilsvrc", "", "", "", "", "", "", "S13", ""),
]


def claims(outputs):
    """A register of four claims, about artifacts of the world."""
    return artifact(outputs, "claims", "e1", rows=[Row("claims", 4)], sheets={"claims.csv": CLAIMS})


def world(outputs):
    """One artifact of every stage, and a further run on photographs; the prints are not sorted like the stages."""
    return {
        "dissect": artifact(
            outputs,
            "dissect",
            "d0",
            rows=[
                Row("conv1.units", 8, "units"),
                Row("conv1.unique_detectors_per_category", 3, "concepts", 8),
                Row("conv2.units", 16, "units"),
                Row("conv2.unique_detectors_per_category", 5, "concepts", 16),
            ],
            pictures=[(f"units of conv{n % 2 + 1}", f"unit {n}", f"caption {n}") for n in range(8)],
            inputs={"concepts": "f0", "network": "e0"},
            config={"dissect": {"iou": 0.4}},
            names=[f"unit_conv{n % 2 + 1}_{n:04d}" for n in range(8)],
            about=[f"unit/conv{n % 2 + 1}/{n}" for n in range(8)],
            sheets={"units.csv": UNITS},
        ),
        "prepare": artifact(
            outputs,
            "prepare",
            "c0",
            rows=[Row("classes", 4)],
            config={"data": {"name": "drawn"}},
            sheets={
                "classes.csv": [("label", "id", "name"), (0, "n0", "mug, cup"), (1, "n1", "hen"), (2, "n2", "cat")]
            },
        ),
        "concepts": artifact(outputs, "concepts", "f0", rows=[Row("concepts", 9)], config={"concepts": {"name": "p"}}),
        "train": artifact(
            outputs,
            "train",
            "e0",
            rows=[Row("top1_error_centre_crop", 12.5, "%", 40, 10.0, 15.0)],
            config={"model": {"name": "smallnet", "widths": [8, 16]}},
            inputs={"prepare": "c0"},
        ),
        "visualise": artifact(
            outputs,
            "visualise",
            "b0",
            rows=[
                Row("saliency.energy_in_box_over_area_share", 1.75, "ratio", 40, 1.5, 2.0),
                Row("class_model.score", 33.0),
            ],
            pictures=[("class models", "mug", "A mug."), ("saliency", "hen", "A hen."), ("saliency", "cat", "A cat.")],
            inputs={"prepare": "c0", "network": "e0"},
        ),
        "localise": artifact(
            outputs,
            "localise",
            "a0",
            rows=[
                Row("top1_localisation_error", 40.0, "%", 40, 35.0, 45.0),
                Row("class_known_localisation_error", 30.0, "%", 40, 25.0, 35.0),
                Row("whole_image.top1_localisation_error", 80.0, "%", 40, 75.0, 85.0),
                Row("whole_image.class_known_localisation_error", 70.0, "%", 40, 65.0, 75.0),
                Row("images", 40, "images"),
            ],
            pictures=[
                ("best boxes", "mug, IoU 0.96", "img_24: a case."),
                ("worst boxes", "hen, IoU 0.00", "img_00: a case."),
            ],
            about=["image/img_24", "image/img_00"],
            inputs={"prepare": "c0", "network": "e0"},
            sheets={"per_image.csv": BOXES},
        ),
        "visualise.photos.lite": artifact(
            outputs,
            "visualise",
            "b1",
            pictures=[("maps", "cat (97%)", "A photograph and its map."), ("saliency", "a real cat", "A cat.")],
            about=["image/chelsea", ""],
            panes=[("image", "image", ""), ("map", "saliency", "black 0, light 1")],
            inputs={"network": "gone"},
        ),
    }
