"""The 1000 classes of ImageNet (ILSVRC-2012) in the order of network outputs, and data that have only some of them."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from deepinside.data.index import Index


@cache
def synsets() -> dict[str, str]:
    """The classes of ILSVRC-2012.

    Returns:
        WordNet id -> name, sorted by WordNet id: the order of the outputs of networks trained on ImageNet.

    Source: WordNet ids of ILSVRC-2012's `LOC_synset_mapping.txt`, names of torchvision's `_IMAGENET_CATEGORIES`.
    """
    with Path(__file__).with_name("imagenet_synsets.csv").open(newline="", encoding="utf-8") as file:
        return {row["wnid"]: row["name"] for row in csv.DictReader(file)}


def matched(index: Index, outputs: Sequence[str]) -> Index:
    """Numbers the labels of data with some of ImageNet's classes by the outputs of a network trained on all of them.

    Args:
        index: of any data; its class ids decide.
        outputs: names of the network's outputs.

    Returns:
        The same images with the network's classes, where the network has ImageNet's 1000 outputs and every class id
        of the data is a WordNet id among them; else the index itself.
    """
    labels = positions(index.ids, outputs)
    if labels is None:
        return index
    entries = tuple(replace(e, label=labels[e.label] if e.label >= 0 else e.label) for e in index.entries)
    return replace(index, ids=tuple(synsets()), classes=tuple(outputs), entries=entries)


def positions(ids: Sequence[str], outputs: Sequence[str]) -> list[int] | None:
    """The outputs of a network trained on all of ImageNet that stand for some of its classes.

    Args:
        ids: of the classes.
        outputs: names of the network's outputs.

    Returns:
        One output per class; None unless the network has ImageNet's 1000 outputs and the ids are some, but not all, of
        their WordNet ids.
    """
    wnids = list(synsets())
    some = 0 < len(ids) < len(wnids) and set(ids) <= set(wnids)
    if not some or len(outputs) != len(wnids):
        return None
    position = {wnid: number for number, wnid in enumerate(wnids)}
    found = [position[wnid] for wnid in ids]
    same = all(_same(wnid, outputs[number]) for wnid, number in zip(ids, found, strict=True))
    return found if same else None  # else 1000 classes, but others


# Lists of names differ in their synonyms: "crane bird" and "crane", "church" and "church, church building".
def _same(wnid: str, output: str) -> bool:
    ours, theirs = synsets()[wnid].lower(), output.lower().split(",")[0]
    return output == wnid or ours in output.lower() or theirs in ours
