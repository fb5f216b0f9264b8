"""The paper's ConvNet: five convolutions, three pools, up to three fully connected layers."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from deepinside.models.checkpoint import assembled
from deepinside.network import Network, Preprocessing

_NORMALISATIONS = ("lrn", "batch", "none")
_GROUPED = (2, 4, 5)  # convolutions that see their own column only (Krizhevsky et al. 2012, sec. 3.5)


class ConvNet(nn.Sequential):
    """conv1..conv5, fc6..fc8 with ReLUs between them, as a chain of named parts.

    At its defaults the feature sides are 54 -> 27 -> 13 -> 6 for an input of 224, and the widths
    64-256-256-256-256-4096-4096-1000. With `lrn`, ReLU, normalisation and pool follow conv1 and conv2 in this order
    (`conv1 relu1 norm1 pool1`); with `batch`, normalisation precedes every hidden ReLU (`conv1 norm1 relu1 pool1`).

    Args:
        outputs: number of classes.
        widths: channels of conv1..conv5.
        hidden: units of fc6 and fc7; fewer than two leave out the last (Zeiler & Fergus 2014, table 3).
        kernel: side of conv1's filters, in pixels.
        stride: of conv1, in pixels.
        normalisation: `lrn`, `batch` or `none`.
        lrn: size, alpha, beta and k of y = x / (k + alpha / size * sum of x^2 over `size` channels)^beta.
        dropout: share of fc6's and fc7's units silenced in training.
        input: side of the square input, in pixels.
        groups: columns of conv2, conv4 and conv5 that do not see one another, as on two cards (Krizhevsky et al. 2012).
        initial_std: weights start as N(0, initial_std^2), as in Krizhevsky et al. 2012 (0.01); None: He et al. 2015.
            Before a normalisation the scale of a layer's weights changes nothing but the effective learning rate: the
            smaller the start, the farther the filters move away from it.

    Raises:
        ValueError: if a number of layers is wrong, the normalisation is unknown, widths do not divide into the groups,
            or the input is too small.

    Source: Simonyan et al. 2013, sec. 1 (the widths); Chatfield et al. 2014, CNN-F (all else).
    Deviation: at the defaults weights start as He et al. 2015 proposed (no initialisation is stated), so that all sizes
    train.
    """

    def __init__(
        self,
        outputs: int = 1000,
        *,
        widths: Sequence[int] = (64, 256, 256, 256, 256),
        hidden: Sequence[int] = (4096, 4096),
        kernel: int = 11,
        stride: int = 4,
        normalisation: str = "lrn",
        lrn: Mapping[str, Any] | None = None,
        dropout: float = 0.5,
        input: int = 224,
        groups: int = 1,
        initial_std: float | None = None,
    ) -> None:
        _check(widths, hidden, normalisation, groups, initial_std)
        settings = dict(lrn or {"size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0})
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        before = (3, *widths[:-1])
        for i, (taken, given) in enumerate(zip(before, widths, strict=True), start=1):
            conv = {1: (kernel, stride, 0), 2: (5, 1, 2)}.get(i, (3, 1, 1))
            columns = groups if i in _GROUPED else 1
            parts[f"conv{i}"] = nn.Conv2d(taken, given, *conv, groups=columns, bias=normalisation != "batch")
            norm = nn.LocalResponseNorm(**settings) if normalisation == "lrn" and i < 3 else None
            _activated(parts, i, nn.BatchNorm2d(given) if normalisation == "batch" else norm)
            if i in {1, 2, 5}:
                parts[f"pool{i}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        parts["flatten"] = nn.Flatten()
        taken = widths[-1] * feature_sides(input, kernel, stride)["pool5"] ** 2
        for i, given in enumerate(hidden, start=6):
            parts[f"fc{i}"] = nn.Linear(taken, given, bias=normalisation != "batch")
            _activated(parts, i, nn.BatchNorm1d(given) if normalisation == "batch" else None)
            parts[f"drop{i}"] = nn.Dropout(dropout)
            taken = given
        parts["fc8"] = nn.Linear(taken, outputs)
        super().__init__(parts)
        self._start(initial_std)

    def _start(self, std: float | None) -> None:
        for name, part in self.named_children():
            if isinstance(part, nn.Conv2d | nn.Linear):
                if std is not None:
                    nn.init.normal_(part.weight, std=std)
                else:
                    nn.init.kaiming_normal_(part.weight, nonlinearity="linear" if name == "fc8" else "relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)


def _check(
    widths: Sequence[int], hidden: Sequence[int], normalisation: str, groups: int, initial_std: float | None
) -> None:
    if len(widths) != 5 or len(hidden) > 2:
        raise ValueError(f"expected 5 widths and at most 2 hidden widths, got {list(widths)} and {list(hidden)}")
    if initial_std is not None and initial_std <= 0:
        raise ValueError(f"expected initial_std above 0, or null for He et al. 2015, got {initial_std}")
    if normalisation not in _NORMALISATIONS:
        raise ValueError(f"expected normalisation {', '.join(_NORMALISATIONS)}, got {normalisation!r}")
    if any(width % groups for width in widths):
        raise ValueError(f"expected widths that are multiples of groups={groups}, got {list(widths)}")


def _activated(parts: OrderedDict[str, nn.Module], i: int, norm: nn.Module | None) -> None:
    """Adds ReLU and normalisation: batch normalisation before the ReLU, response normalisation after it."""
    if norm is not None and not isinstance(norm, nn.LocalResponseNorm):
        parts[f"norm{i}"] = norm
    parts[f"relu{i}"] = nn.ReLU()
    if isinstance(norm, nn.LocalResponseNorm):
        parts[f"norm{i}"] = norm


def feature_sides(input: int, kernel: int = 11, stride: int = 4) -> dict[str, int]:
    """Sides of the feature maps: floor((s - kernel) / stride) + 1, then pools ceil((s - 3) / 2) + 1.

    Args:
        input: side of the square input, in pixels.
        kernel: side of conv1's filters.
        stride: of conv1.

    Returns:
        Side in pixels after conv1, pool1, pool2 and pool5; conv2 has that of pool1, conv3 to conv5 that of pool2.

    Raises:
        ValueError: if a map is too small to pool.
    """
    sides = {"conv1": (input - kernel) // stride + 1}
    for name, before in (("pool1", "conv1"), ("pool2", "pool1"), ("pool5", "pool2")):
        if sides[before] < 3:
            raise ValueError(
                f"an input of {input} pixels leaves {sides[before]} before {name}, which pools 3: "
                f"enlarge the input or lower kernel={kernel} or stride={stride}"
            )
        sides[name] = -(-(sides[before] - 3) // 2) + 1
    return sides


def convnet(
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "convnet",
    fit: bool = True,  # ruff: ignore[unused-function-argument]  read by the train stage
    widths: Sequence[int] = (64, 256, 256, 256, 256),
    hidden: Sequence[int] = (4096, 4096),
    kernel: int = 11,
    stride: int = 4,
    normalisation: str = "lrn",
    lrn: Mapping[str, Any] | None = None,
    dropout: float = 0.5,
    input: int = 224,
    groups: int = 1,
    initial_std: float | None = None,
    **preprocessing: Any,
) -> Network:
    """Builds a ConvNet with its preprocessing.

    Args:
        weights: safetensors or state-dict file; None or `random`: random weights from torch's global generator.
        classes: one name per output; None: as many outputs as `weights` has (1000 without), ImageNet's names for 1000.
        name: for titles.
        fit: whether the train stage trains it when `weights` is None.
        widths: channels of conv1..conv5.
        hidden: units of fc6 and fc7.
        kernel: side of conv1's filters, in pixels.
        stride: of conv1, in pixels.
        normalisation: `lrn`, `batch` or `none`.
        lrn: size, alpha, beta, k.
        dropout: share of fc6's and fc7's units silenced in training.
        input: side of the square input, in pixels.
        groups: columns of conv2, conv4 and conv5 that do not see one another.
        initial_std: standard deviation of the weights at the start; None: as He et al. 2015 proposed.
        **preprocessing: mean, std, resize, bgr, scale, interpolation, as in `Preprocessing`; what is None or missing is
            as in `conf/model/convnet.yaml`.

    Returns:
        The network, frozen.

    Source: Simonyan et al. 2013, sec. 1; Chatfield et al. 2014, CNN-F.
    """
    module = partial(
        ConvNet,
        widths=tuple(widths),
        hidden=tuple(hidden),
        kernel=kernel,
        stride=stride,
        normalisation=normalisation,
        lrn=lrn,
        dropout=dropout,
        input=input,
        groups=groups,
        initial_std=initial_std,
    )
    settings = Preprocessing.of("convnet", input=input, **preprocessing)
    return assembled(module, weights, "fc8.bias", settings, classes, name)
