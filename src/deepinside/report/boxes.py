"""The localisation of every image, from the `per_image.csv` of a localisation."""

import json
from collections.abc import Mapping, Sequence

from deepinside.report.catalogue import Catalogue, Cell, Column, Line, measured, slider
from deepinside.report.entries import Subjects
from deepinside.report.exhibit import Exhibits
from deepinside.report.folder import Folder, Listed, lines
from deepinside.report.page import Artifact

FILE = "per_image.csv"
NEEDED = ("image", "label", "iou_known")
COLUMNS = (
    Column("Image"),
    Column("True class"),
    Column("IoU of the box", numeric=True),
    Column("Whole image", numeric=True),
    Column("Centre box", numeric=True),
    Column("Box", choice=True),
    Column("Class seen", choice=True),
    Column("Drawn", choice=True, hidden=True),
)
_OURS = 2
HIT = 0.5  # IoU from which on ILSVRC counts a box as right


def boxes(
    folder: Folder,
    artifact: Artifact,
    classes: Mapping[str, str],
    exhibits: Exhibits,
    most: int,
    subjects: Subjects,
) -> Catalogue | None:
    """The table of all localised images, in the file's order, at most `most` rows; None if the folder has none.

    `classes` are the names by label, empty where the images' artifact is not on the page; `subjects` are the images of
    the page.
    """
    if folder.stage != "localise" or not any(sheet.file == FILE for sheet in folder.sheets):
        return None
    found = lines(folder, FILE, NEEDED)
    drawn = _drawn(folder.pictures)
    found.sort(key=lambda one: one["image"] not in drawn)
    rows = [_row(one, classes, drawn.get(one["image"]), exhibits, folder, subjects) for one in found[:most]]
    if not rows:
        return None
    return Catalogue(
        anchor=f"{artifact.anchor}-boxes",
        title="Every image",
        says=(
            f"IoU of the box for the true class with the nearest true box (correct from {HIT:g} on), beside two boxes "
            "that ignore the image. Images with figures come first; an image opens with all that is known about it."
        ),
        noun="images",
        columns=COLUMNS,
        lines=rows,
        total=len(found),
        file=FILE,
        href=f"{artifact.href}{FILE}",
        slider=slider(rows, _OURS, "IoU at least"),
    )


def class_names(folder: Folder, known: Mapping[str, Folder]) -> dict[str, str]:
    """The class names by label, if an artifact that has them is among `known`, by fingerprint.

    Labels are those of the network, which may know more classes than the images show; without it those of the images.
    """
    network = known.get(folder.inputs.get("network", ""))
    file = network.path / "network.json" if network else None
    if file and file.is_file():
        try:
            names = json.loads(file.read_text(encoding="utf-8"))["classes"]
            return {str(label): str(name).split(",")[0] for label, name in enumerate(names)}
        except (ValueError, KeyError, TypeError):
            pass  # a file from elsewhere: the images' own names are left
    prepared = known.get(folder.inputs.get("prepare", ""))
    if prepared is None or not any(sheet.file == "classes.csv" for sheet in prepared.sheets):
        return {}
    return {one["label"]: one["name"].split(",")[0] for one in lines(prepared, "classes.csv", ("label", "name"))}


def _drawn(pictures: Sequence[Listed]) -> dict[str, Listed]:
    # The group of a case says why it was chosen.
    return {
        about.removeprefix("image/"): one for one in pictures if one.group.endswith(" boxes") for about in one.about
    }


def _row(
    one: Mapping[str, str],
    classes: Mapping[str, str],
    drawn: Listed | None,
    exhibits: Exhibits,
    folder: Folder,
    subjects: Subjects,
) -> Line:
    ours = measured(one["iou_known"], 1.0)
    right = isinstance(ours.key, float) and ours.key >= HIT
    return Line(
        (
            Cell(folder.named(one["image"])),
            Cell(classes.get(one["label"], one["label"])),
            ours,
            measured(one.get("iou_whole_image") or "", 1.0),
            measured(one.get("iou_centre_box") or "", 1.0),
            Cell("right" if right else "wrong", tone="good" if right else "bad"),
            Cell(_class(one)),
            Cell(drawn.group.removesuffix(" boxes") if drawn else "no"),
        ),
        exhibits.anchor(folder.key, drawn) if drawn else "",
        subjects.anchor(folder, f"image/{one['image']}"),
    )


def _class(one: Mapping[str, str]) -> str:
    if one.get("cls_error_1") == "0":
        return "first"
    if one.get("cls_error_5") == "0":
        return "in the first five"
    return "no" if one.get("cls_error_5") else "–"
