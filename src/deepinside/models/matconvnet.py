"""CNN-F as published by MatConvNet (`imagenet-vgg-f.mat`): the public network closest to the paper's."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.io.matlab import mat_struct
from torch import Tensor

from deepinside.data import matlab
from deepinside.models.checkpoint import class_names, existing, load_tensors, output_count, refuse_broken
from deepinside.models.convnet import ConvNet
from deepinside.network import Network, Preprocessing

_BLOCK = ["conv", "relu", "lrn", "pool"]
_CHAIN = [*_BLOCK, *_BLOCK, *["conv", "relu"] * 2, "conv", "relu", "pool", *["conv", "relu"] * 2, "conv"]
_NAMES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
_PADS = (0, 2, 1, 1, 1, 0, 0, 0)
_WIDEST = 2048  # pixels a side; CNN-F takes 224
_WHERE = "expected CNN-F, as in https://www.vlfeat.org/matconvnet/models/imagenet-vgg-f.mat"

Layer = dict[str, Any]


def vgg_f(
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "vgg_f",
    fit: bool = False,  # ruff: ignore[unused-function-argument]  read by the train stage
    **preprocessing: Any,
) -> Network:
    """Reads a MatConvNet file, new layout or old, into a `ConvNet`.

    Classes are sorted by WordNet id; a softmax at the end is removed.

    Args:
        weights: the .mat file; None or `random`: the same network with random weights.
        classes: one name per output; None: the file's own.
        name: for titles.
        fit: whether the train stage trains it when `weights` is None.
        **preprocessing: as in `Preprocessing`; missing or None: as in the file.

    Returns:
        The network, frozen. Its input is RGB bytes minus the spatial mean of the file's average image.

    Source: Chatfield et al. 2014, CNN-F.
    Deviation: one mean colour for MatConvNet's average image, so that it is the same for every crop.
    """
    overrides = {key: value for key, value in preprocessing.items() if value is not None}
    if weights in {None, "random"}:
        count = output_count(classes, None, "fc8.bias")
        settings: dict[str, Any] = {"mean": (123.68, 116.779, 103.939), "std": (1, 1, 1), "scale": 255} | overrides
        return Network(ConvNet(count), Preprocessing(**settings), class_names(classes, count), name)
    path = existing(str(weights))
    module, tensors, names, settings = _network(path)
    count = output_count(classes, tensors, "fc8.bias", weights)
    return Network(module, Preprocessing(**(settings | overrides)), class_names(classes or names, count), name)


def _network(path: Path) -> tuple[ConvNet, dict[str, Tensor], list[str] | None, dict[str, Any]]:
    # the network, its weights, names of its classes if the file has any, and how it wants its images
    stored = read(path)
    try:
        layers, meta = _layers(stored, path), _meta(stored)
        tensors = _tensors(layers)
        names = list(meta.get("classes", {}).get("description", []))
        order = _order(meta, len(tensors["fc8.bias"]))
        tensors |= {key: tensors[key][order] for key in ("fc8.weight", "fc8.bias")}
        refuse_broken(tensors, path)
        module = _module(layers, tensors, _input(meta), path)
        load_tensors(module, tensors, path)
        stated = [str(names[i]).split(",")[0] for i in order] if names else None
        return module, tensors, stated, _settings(meta)
    except (ValueError, AttributeError, LookupError, TypeError, ArithmeticError, RuntimeError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {_WHERE}, got other types of values ({error!r})") from error


def read(path: Path) -> dict[str, Any]:
    """A MATLAB file in Python's own types.

    Args:
        path: of version 5 to 7.

    Returns:
        Structs as dictionaries, cells as lists, numbers as arrays of their full shape.

    Raises:
        ValueError: if it is no such file.
    """
    try:
        stored = matlab.read(path, struct_as_record=False)
    except ValueError as error:
        raise ValueError(f"{path} is no MATLAB file of version 5 to 7 ({error}); {_WHERE}") from error
    plain = {key: _plain(value) for key, value in stored.items() if not key.startswith("__")}
    return plain.get("net", plain)


def _plain(value: Any) -> Any:
    if isinstance(value, mat_struct):
        return {field: _plain(getattr(value, field)) for field in value._fieldnames}
    if isinstance(value, ndarray) and value.dtype == object:
        items = [_plain(item) for item in value.ravel()]
        is_struct = value.size == 1 and isinstance(value.item(), mat_struct)
        return items[0] if is_struct else items
    if isinstance(value, ndarray) and value.dtype.kind == "U":
        return str(value.ravel()[0]) if value.size else ""
    return value


def _layers(stored: Mapping[str, Any], path: Path) -> list[Layer]:
    layers: list[Layer] = [dict(layer) for layer in stored.get("layers", [])]
    for layer in layers:
        layer["type"] = {"normalize": "lrn"}.get(layer.get("type", ""), layer.get("type"))
        if layer["type"] == "conv" and "weights" not in layer:  # files before 2015
            layer["weights"] = [layer["filters"], layer["biases"]]
    layers = [layer for layer in layers if layer["type"] not in {"softmax", "dropout"}]
    if (chain := [layer["type"] for layer in layers]) != _CHAIN:
        raise ValueError(f"{path}: {_WHERE} ({' '.join(_CHAIN)}), got {' '.join(map(str, chain)) or 'no layers'}")
    return layers


def _meta(stored: Mapping[str, Any]) -> dict[str, Any]:
    meta = dict(stored.get("meta", {}))
    return {key: meta.get(key, stored.get(key, {})) for key in ("normalization", "classes")}


def _tensors(layers: list[Layer]) -> dict[str, Tensor]:
    # filters are height x width x channel x unit and are correlated, not convolved, as in torch
    tensors: dict[str, Tensor] = {}
    for name, layer in zip(_NAMES, (layer for layer in layers if layer["type"] == "conv"), strict=True):
        filters, bias = layer["weights"][:2]
        filters = filters.reshape(filters.shape + (1,) * (4 - filters.ndim)).transpose(3, 2, 0, 1)
        filters = filters if name.startswith("conv") else filters.reshape(len(filters), -1)
        tensors[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(filters, dtype=np.float32))
        tensors[f"{name}.bias"] = torch.from_numpy(bias.ravel().astype(np.float32))
    return tensors


def _module(layers: list[Layer], tensors: Mapping[str, Tensor], side: int, path: Path) -> ConvNet:
    convs = [layer for layer in layers if layer["type"] == "conv"]
    strides = [int(layer.get("stride", np.ones(1)).ravel()[0]) for layer in convs]
    pads = [sorted(set(layer.get("pad", np.zeros(1)).ravel().astype(int).tolist())) for layer in convs]
    if strides[1:] != [1] * 7 or pads != [[pad] for pad in _PADS]:
        raise ValueError(f"{path}: {_WHERE} (strides 4 1 1 ..., pads {_PADS}), got strides {strides}, pads {pads}")
    for layer in layers:
        if layer["type"] == "pool":
            _check_pool(layer, path)
    lrn = [layer["param"].ravel().astype(float).tolist() for layer in layers if layer["type"] == "lrn"]
    if lrn[0] != lrn[1]:
        raise ValueError(f"{path}: expected one response normalisation for both layers, got {lrn}")
    size, k, alpha, beta = lrn[0]
    return ConvNet(
        len(tensors["fc8.bias"]),
        widths=[len(tensors[f"{name}.bias"]) for name in _NAMES[:5]],
        hidden=[len(tensors[f"{name}.bias"]) for name in _NAMES[5:7]],
        kernel=tensors["conv1.weight"].shape[-1],
        stride=strides[0],
        lrn={"size": int(size), "alpha": size * alpha, "beta": beta, "k": k},  # MatConvNet does not divide by size
        input=side,
    )


def _check_pool(layer: Layer, path: Path) -> None:
    side = layer["pool"].ravel().astype(int).tolist()
    stride = layer["stride"].ravel().astype(int).tolist()
    pad = (layer.get("pad", np.zeros(1)).ravel().astype(int).tolist() * 4)[:4]  # top bottom left right
    good = set(side) == {3} and set(stride) == {2} and pad[0] == pad[2] == 0 and max(pad) <= 1
    if not good or layer.get("method", "max") != "max":
        came = f"{layer.get('method', 'max')} {side}, stride {stride}, pad {pad}"
        raise ValueError(f"{path}: expected max-pools of 3x3, stride 2, padded below and right at most, got {came}")


def _input(meta: Mapping[str, Any]) -> int:
    size = meta["normalization"].get("imageSize")
    side = 224 if size is None else int(np.ravel(size)[0])
    if not 0 < side <= _WIDEST:
        raise LookupError(f"images of {side} pixels a side")
    return side


def _settings(meta: Mapping[str, Any]) -> dict[str, Any]:
    # RGB bytes minus the mean; the shorter side is longer than the crop by the border
    stated = meta["normalization"]
    side = _input(meta)
    mean: Float[ndarray, "*side 3"] = np.asarray(
        stated.get("averageImage", (123.68, 116.779, 103.939)), dtype=np.float64
    )
    border = int(np.ravel(stated["border"])[0]) if np.size(stated.get("border", ())) else round(side * 32 / 224)
    kind = str(stated.get("interpolation", "bilinear"))
    return {
        "mean": tuple(mean.reshape(-1, 3).mean(0).tolist()),
        "std": (1, 1, 1),
        "input": side,
        "resize": side + border,
        "bgr": False,
        "scale": 255,
        "interpolation": kind if kind in {"bilinear", "bicubic"} else "bilinear",
    }


def _order(meta: Mapping[str, Any], count: int) -> list[int]:
    ids = list(meta["classes"].get("name", [])) if isinstance(meta["classes"], Mapping) else []
    wordnet = len(ids) == count and all(re.fullmatch(r"n\d{8}", str(id_)) for id_ in ids)
    return sorted(range(count), key=lambda i: ids[i]) if wordnet else list(range(count))
