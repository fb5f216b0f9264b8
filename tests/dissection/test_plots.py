import io
import warnings

import numpy as np
import pytest

from deepinside.plots.dissection import (
    colour,
    ordered,
    unique_by_threshold,
    unique_detectors,
    unit_card,
    units_per_concept,
)


def drawn(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")


def test_categories_stand_in_the_papers_order():
    assert ordered(["color", "thing", "scene", "object"]) == ("object", "scene", "color", "thing")
    assert len({colour(name) for name in ("object", "part", "scene", "material", "texture", "color", "thing")}) == 7


def test_a_card_is_dark_outside_the_mask():
    image = np.full((40, 60, 3), 200, dtype=np.uint8)
    mask = np.zeros((40, 60), dtype=bool)
    mask[:, :30] = True
    figure = unit_card([image], [mask], unit="c unit 0", label="cat", category="object", iou=0.5, detector=True)
    tile = figure.axes[0].images[0].get_array()
    assert tile.shape == (132, 132, 3)  # 60 x 40 at 132 x 88, in the middle
    assert (tile[:22] == 255).all()
    assert (tile[66, 10:60] == 200).all()
    assert (tile[66, 75:] == 70).all()
    texts = [text.get_text() for text in figure.texts]
    assert "cat" in texts
    assert "IoU 0.500" in texts
    assert image.max() == 200  # the arguments stay as they are


@pytest.mark.parametrize("count", [1, 2, 9, 10])
def test_any_number_of_pictures(count):
    pair = np.zeros((8, 9, 3), dtype=np.uint8), np.ones((8, 9), dtype=bool)
    images, masks = zip(*[pair] * count, strict=True)
    drawn(unit_card(images, masks, unit="c unit 0", label="a", category="part", iou=0.0, detector=False))


def test_bars_show_the_numbers():
    unique = np.array([[1, 5], [4, 0]])  # layers x (texture, object)
    axes = unique_detectors(["c1", "c2"], ["texture", "object"], unique, rule="").axes[0]
    heights = [[bar.get_height() for bar in group] for group in axes.containers]
    assert heights == [[5, 0], [1, 4]]  # objects first, as in the paper
    assert [text.get_text() for text in axes.texts][-2:] == ["6", "4"]
    single = unique_detectors(["c1"], ["texture", "object"], unique[:1], rule="").axes[0]
    assert [bar.get_height() for bar in single.containers[0]] == [5, 1]


def test_units_per_concept():
    figure = units_per_concept(["b", "a", "x"], ["part", "part", "object"], [2, 3, 1], title="t")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["x", "a", "b"]
    many = [f"l{i}" for i in range(70)]
    figure = units_per_concept(many, ["part"] * 70, [1] * 69 + [9], title="t")
    assert len(figure.axes[0].patches) == 60
    assert "10 concepts" in figure.axes[0].get_title()
    assert figure.axes[0].get_xticklabels()[0].get_text() == "l69"
    drawn(figure)


def test_thresholds_against_counts():
    figure = unique_by_threshold([0.02, 0.04, 0.1], {"c1": [9, 5, 0], "c2": [7, 6, 1]}, chosen=0.04)
    axes = figure.axes[0]
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[9, 5, 0], [7, 6, 1]]
    assert list(axes.lines[2].get_xdata()) == [0.04, 0.04]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["c1", "c2"]
    drawn(figure)


@pytest.mark.parametrize("count", [8, 26, 60])
def test_all_layers_of_a_deep_network_fit(count):
    layers = [f"features.{i}.denseblock.denselayer.conv" for i in range(count)]
    figure = unique_by_threshold([0.02, 0.04, 0.1], {layer: [9, 5, 0] for layer in layers}, chosen=0.04)
    drawn(figure)
    assert figure.axes[0].get_position().width * figure.get_figwidth() > 3  # inches
    assert len(figure.axes[0].get_legend().get_texts()) == count
    drawn(unique_detectors(layers, ["object", "part"], np.ones((count, 2), dtype=int), rule="per category"))


def test_concepts_with_long_names_fit():
    names = [f"a concept that somebody described in one long sentence, variant {i}" for i in range(70)]
    figure = units_per_concept(names, ["part"] * 70, [1] * 70, title="t")
    drawn(figure)
    assert figure.axes[0].get_position().height * figure.get_figheight() > 1.5  # inches
