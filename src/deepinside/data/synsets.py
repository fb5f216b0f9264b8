"""The classes of ILSVRC in the order of network outputs, whatever the numbers in the development kit."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepinside.data import matlab
from deepinside.data.ilsvrc_layout import HOW, beside
from deepinside.data.layouts import instead
from deepinside.data.reading import brief, read_text

# What a file that is no .mat file or a struct of another kind leads to.
_BROKEN = (ValueError, OverflowError, KeyError, TypeError, IndexError, AttributeError, StopIteration)


class Synsets(NamedTuple):
    """Sorted WordNet ids, their words, and the development kit's numbers of them (empty for Kaggle's tree)."""

    file: Path
    ids: tuple[str, ...]
    words: tuple[str, ...]
    numbered: Mapping[int, str]

    @classmethod
    def find(cls, root: str | Path) -> "Synsets":
        """Reads the classes from `LOC_synset_mapping.txt` or `meta.mat`.

        Args:
            root: of the data.

        Returns:
            The classes, sorted by WordNet id.

        Raises:
            FileNotFoundError: if both files are missing.
            ValueError: if the file is broken, names a class twice, or names none.

        Source: ILSVRC-2012 development kit, readme: ILSVRC2012_ID is not the alphabetical order of the WordNet ids.
        """
        root = Path(root)
        mapping, meta = (
            beside(root, "LOC_synset_mapping.txt"),
            beside(root, "meta.mat") or beside(root, "meta_clsloc.mat"),
        )
        file = mapping or meta
        if file is None:
            what = f"{root}: expected the classes in LOC_synset_mapping.txt or data/meta.mat, got neither"
            raise FileNotFoundError(f"{what}{instead(root, 'ilsvrc', HOW)}")
        numbered, words = ({}, _mapped(file)) if mapping else _leaves(file)
        ids = tuple(sorted(words))
        if not ids:
            raise ValueError(f"{file}: expected one class a line, `WNID words`, got none: fetch the file again")
        return cls(file, ids, tuple(words[wnid] for wnid in ids), numbered)


def _mapped(path: Path) -> dict[str, str]:
    words: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        wnid, _, word = line.strip().partition(" ")
        if wnid in words or (wnid and not word):
            what = f"expected `WNID words`, each class once, got {brief(repr(line))}"
            raise ValueError(f"{path}, line {number}: {what}: fetch the file again")
        if wnid:
            words[wnid] = word
    return words


# Leaves of WordNet are the classes. The kit numbers inner nodes, too; they have children (and come after the leaves).
# The kit of 2015 has leaves alone and calls the number otherwise.
def _leaves(path: Path) -> tuple[dict[int, str], dict[str, str]]:
    try:
        nodes = np.atleast_1d(matlab.read(path, squeeze_me=True)["synsets"])
        names = nodes.dtype.names or ()
        number = next(name for name in names if name.endswith("_ID"))
        inner = "num_children" in names
        leaves = [node for node in nodes if not inner or int(node["num_children"]) == 0]
        numbered = {int(node[number]): str(node["WNID"]) for node in leaves}
        return numbered, {str(node["WNID"]): str(node["words"]) for node in leaves}
    except _BROKEN as error:
        expected = "a struct `synsets` with ILSVRC2012_ID, WNID, words, num_children"
        raise ValueError(
            f"{path}: expected {expected}, got {brief(repr(error))}: unpack the development kit again"
        ) from error
