"""The classifiers of timm (pytorch-image-models), each with the preprocessing that it was trained with."""

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from deepinside.models.checkpoint import class_names, load_tensors, output_count, read_weights
from deepinside.models.pretrained import locate
from deepinside.network import Network, Preprocessing
from deepinside.spelling import closest


def timm_model(
    arch: str,
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    fit: bool = False,  # ruff: ignore[unused-function-argument]  read by the train stage
    **preprocessing: Any,
) -> Network:
    """One of timm's classifiers. Nothing is downloaded.

    Args:
        arch: timm's name, such as `resnet18` or, with the preprocessing of its weights, `resnet18.a1_in1k`.
        weights: a file, as timm's own or saved by `torch.save(model.state_dict())`; None or `random`: random weights.
        classes: one name per output; None: ImageNet's for 1000 outputs, otherwise numbers.
        name: for titles; None: `arch`.
        fit: whether the train stage trains it when `weights` is None.
        **preprocessing: as in `Preprocessing`; missing or None: those of timm's evaluation.

    Returns:
        The network, frozen.

    Raises:
        KeyError: if timm has no such network, with the closest names.
        ModuleNotFoundError: if timm is not installed.
    """
    timm = _timm()
    if not timm.is_model(arch):
        raise KeyError(f"timm has no network {arch!r}; {closest(arch, timm.list_models())}")
    found = locate({"weights": weights or "random"})
    tensors = None if found is None else read_weights(found)
    head = f"{timm.get_pretrained_cfg(arch).classifier}.bias"
    count = output_count(classes, tensors, head, weights)
    module: nn.Module = timm.create_model(arch, pretrained=False, num_classes=count)
    if tensors is not None:
        load_tensors(module, tensors, str(found))
    overrides = {key: value for key, value in preprocessing.items() if value is not None}
    meant = timm.data.resolve_model_data_config(module)
    return Network(module, Preprocessing(**(_published(meant) | overrides)), class_names(classes, count), name or arch)


def _timm() -> ModuleType:
    try:
        importlib.import_module("timm.data")
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("model=timm needs the package timm: pip install 'deepinside[timm]'") from error


def _published(meant: Mapping[str, Any]) -> dict[str, Any]:
    side = meant["input_size"][-1]
    return {
        "mean": meant["mean"],
        "std": meant["std"],
        "input": side,
        "resize": math.floor(side / meant["crop_pct"]),  # timm/data/transforms_factory.py, transforms_imagenet_eval
        "interpolation": meant["interpolation"] if meant["interpolation"] in {"bilinear", "bicubic"} else "bicubic",
    }
