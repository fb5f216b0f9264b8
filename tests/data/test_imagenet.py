"""The 1000 classes in the order of network outputs, and data with only some of them."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.shared import SHARED, needs_shared
from torchvision.models._meta import _IMAGENET_CATEGORIES

from deepinside.data import ilsvrc
from deepinside.data.imagenet import matched, synsets
from deepinside.data.index import NO_BOXES, Entry, Index

SOME = Index(  # wnids of outputs 0, 217 and 701
    Path(),
    ("n01440764", "n02102040", "n03888257"),
    ("tench", "springer", "parachute"),
    tuple(Entry(str(i), f"{i}.jpg", "val", label, NO_BOXES, 9, 9) for i, label in enumerate((2, 0, -1, 1))),
)


def test_names_are_those_of_torchvisions_weights_in_sorted_order_of_the_ids() -> None:
    assert list(synsets().values()) == _IMAGENET_CATEGORIES
    assert list(synsets()) == sorted(set(synsets()))


@needs_shared
def test_ids_are_those_of_ilsvrc() -> None:
    assert ilsvrc.index(SHARED / "data/ilsvrc_val_sample").ids == tuple(synsets())


@pytest.mark.parametrize("names", [list(synsets().values()), list(synsets())])
def test_labels_become_outputs_of_a_network_trained_on_imagenet(names: list[str]) -> None:
    found = matched(SOME, names)
    assert [entry.label for entry in found.entries] == [701, 0, -1, 217]
    assert found.ids == tuple(synsets())
    assert found.classes == tuple(names)


def test_synonyms_do_not_matter() -> None:
    names = list(synsets().values())
    names[0], names[497] = "tench, Tinca tinca", "church, church building"
    assert matched(SOME, names).classes[0] == "tench, Tinca tinca"


@pytest.mark.parametrize(
    ("index", "outputs"),
    [
        (SOME, ["tench", "springer", "parachute"]),  # trained on the same three
        (SOME, [f"class {i}" for i in range(1000)]),  # 1000 other classes
        (replace(SOME, ids=("n01440764", "n02102040", "mine")), list(synsets())),
        (replace(SOME, ids=(), classes=(), entries=()), list(synsets())),
    ],
)
def test_other_data_and_networks_stay_as_they_are(index: Index, outputs: list[str]) -> None:
    assert matched(index, outputs) is index
