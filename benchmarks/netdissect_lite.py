"""Runs NetDissect-Lite's own code, from a folder outside this repository, on a folder in Broden's format.

Its code is as it was left in 2018; what it misses today is defined here: `scipy.misc` and
`scipy.ndimage.interpolation`, generators that end by `StopIteration` (PEP 479), a list as an index, a way to name a
layer that is not a child of the network, and `numpy.NaN`. Its bytes times 256 overflow under numpy 2, so that pictures
are read as int32.
"""

import contextlib
import multiprocessing
import os
import sys
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn


def _imread(path):
    return np.asarray(Image.open(path)).astype(np.int32)


def _imresize(values, size, mode):
    return np.asarray(
        Image.fromarray(values.astype(np.float32), mode=mode).resize(size[::-1], Image.Resampling.BILINEAR)
    )


def _module(name, **content):
    sys.modules[name] = module = types.ModuleType(name)
    module.__dict__.update(content)


def _settings(root: Path, out: Path) -> None:
    categories = ["object", "part", "scene", "color"]
    _module(
        "settings", GPU=False, CLEAN=False, MODEL="alexnet", QUANTILE=0.005, PARALLEL=1, CATAGORIES=categories,
        OUTPUT_FOLDER=str(out), DATA_DIRECTORY=str(root), IMG_SIZE=224, FEATURE_NAMES=["conv5"], WORKERS=2,
        BATCH_SIZE=64, TALLY_BATCH_SIZE=16, TALLY_AHEAD=4, INDEX_FILE="index.csv",
    )  # fmt: skip


def _until_none(fetch):
    while (batch := fetch()) is not None:
        yield batch


def _onehot(_self, numbers, minlength=None):
    return np.eye(max(numbers.max() + 1, minlength or 0))[numbers]


def dissect(code: Path, root: Path, module: nn.Module, layer: str, out: Path) -> None:
    """Features, thresholds and tally, without its report.

    Args:
        code: its repository.
        root: of the probe set.
        module: the network.
        layer: dotted name.
        out: folder for its features and tables.
    """
    (out / "image").mkdir(parents=True, exist_ok=True)
    _module("scipy.misc", imread=_imread, imresize=_imresize)
    _module("scipy.ndimage.interpolation", zoom=None)
    setattr(np, "NaN", np.nan)  # ruff: ignore[set-attr-with-constant]  a name that numpy no longer has
    multiprocessing.set_start_method("fork", force=True)  # its readers inherit what is defined here
    _settings(root, out)
    sys.path.insert(0, str(code))
    import feature_operation
    from loader import data_loader

    data_loader.SegmentationData.onehot = _onehot
    prefetcher = data_loader.SegmentationPrefetcher
    prefetcher.batches = lambda self: _until_none(self.fetch_batch)
    prefetcher.tensor_batches = lambda self, **keys: _until_none(lambda: self.fetch_tensor_batch(**keys))
    module.get_submodule(layer).register_forward_hook(feature_operation.hook_feature)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), torch.no_grad():
        operator = feature_operation.FeatureOperator()
        features, _ = operator.feature_extraction(model=module.eval())
        thresholds = operator.quantile_threshold(features[0], savepath="quantile.npy")
        operator.tally(features[0], thresholds, savepath="tally.csv")
