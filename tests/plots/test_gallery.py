"""The files of a gallery: figures, their parts, and drawings of lines."""

import csv

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from deepinside.plots.gallery import Gallery, Pane, cut
from deepinside.plots.synthesis import grid

WORDS = {"group": "g", "title": "t", "caption": "c"}


def lines(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def curve():
    figure = Figure()
    figure.subplots().plot([0, 1], label="error")
    return figure


def test_a_figure_of_images_is_cut_into_them_with_its_words():
    images = np.zeros((3, 20, 30, 3))
    images[0, ..., 0] = images[1, ..., 1] = images[2, ..., 2] = 1
    columns, panes = cut(grid(images, ["mug, cup", "hen", "cat"], ["score 1.0; rank 2", "", "n"], columns=2))
    assert columns == 2
    assert [(one.title, one.note) for one in panes] == [("mug", "score 1.0; rank 2"), ("hen", ""), ("cat", "n")]
    for place, pane in enumerate(panes):
        height, width = pane.pixels.shape[:2]
        assert abs(height / width - 20 / 30) < 0.02
        inner = pane.pixels[2:-2, 2:-2].reshape(-1, 3)
        assert np.array_equal(np.unique(inner, axis=0), [255 * np.eye(3)[place]])


def test_a_chart_is_not_cut_and_is_drawn_as_text_and_lines(tmp_path):
    assert cut(curve()) == (0, [])
    for name in ("one", "two"):
        gallery = Gallery(tmp_path / name)
        gallery.add(curve(), "a", **WORDS)
        gallery.write()
    assert not (tmp_path / "one" / "panes.csv").exists()
    drawing = (tmp_path / "one" / "pictures" / "a.svg").read_bytes()
    assert drawing == (tmp_path / "two" / "pictures" / "a.svg").read_bytes()
    assert b"<text" in drawing


def test_panes_settings_and_subjects_are_listed(tmp_path):
    gallery, pixels = Gallery(tmp_path), np.full((4, 6, 3), 7, np.uint8)
    panes = [Pane(pixels, "image", kind="image"), Pane(pixels, "saliency", "black 0", "map")]
    gallery.add(
        pixels, "a", **WORDS, settings={"steps": 3, "prior": {"l2": 0.1}}, panes=panes, about=("image/x", "image/y")
    )
    gallery.write()
    (row,) = lines(tmp_path / "pictures.csv")
    assert (row["settings"], row["about"]) == ('{"steps": 3, "prior": {"l2": 0.1}}', "image/x\nimage/y")
    listed = lines(tmp_path / "panes.csv")
    assert [(one["of"], one["columns"], one["kind"], one["title"], one["note"]) for one in listed] == [
        ("pictures/a.png", "2", "image", "image", ""),
        ("pictures/a.png", "2", "map", "saliency", "black 0"),
    ]
    assert all(np.array_equal(np.asarray(Image.open(tmp_path / one["file"])), pixels) for one in listed)
