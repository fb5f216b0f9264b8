"""A trained network: RGB in [0, 1] in, class scores before softmax out."""

import operator
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinside.defaults import defaults
from deepinside.runtime.memory import halved
from deepinside.runtime.pixel_gradient import FastPixelGradient
from deepinside.spelling import closest

_AT_ONCE = 400_000  # pixels at once on a CPU, 8 images of 224: their activations stay in cache
_ROOM = 256 / 224  # shorter side over input, as networks for ImageNet have it (Krizhevsky et al. 2012, sec. 2)


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of images for a network.

    Args:
        mean: per channel, in the network's own channel order and scale.
        std: likewise.
        input: side of the square input in pixels.
        resize: length of the shorter side before cropping, in pixels.
        bgr: whether the channel order is blue, green, red (Caffe).
        scale: 255 for networks whose input is in 0..255, 1 for [0, 1].
        interpolation: `bilinear` or `bicubic`.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    input: int = 224
    resize: int = 256
    bgr: bool = False
    scale: float = 1.0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"expected 3 means and 3 positive standard deviations, got {self.mean} and {self.std}")
        if not 0 < self.input <= self.resize:
            raise ValueError(f"expected 0 < input <= resize, got input={self.input}, resize={self.resize}")

    @classmethod
    def of(cls, choice: str, **overrides: Any) -> Self:
        """The preprocessing of a network of `conf/model`, where it is defined.

        Args:
            choice: name of its file.
            **overrides: fields to override; None: as in the file.

        Returns:
            The preprocessing; `resize` is 8/7 of the input by default.

        Raises:
            KeyError: if there is no such choice or no such field, with the closest names.
        """
        own = {field.name for field in fields(cls)}
        if unknown := sorted(overrides.keys() - own):
            raise KeyError(f"{choice} has no preprocessing {unknown[0]!r}; {closest(unknown[0], sorted(own))}")
        settings = defaults("model", choice, {key: value for key, value in overrides.items() if value is not None})
        if missing := sorted(own - settings.keys()):
            raise KeyError(f"conf/model/{choice}.yaml has no {', '.join(missing)}: state them, as custom.yaml does")
        settings["resize"] = settings["resize"] or round(_ROOM * settings["input"])
        return cls(**{name: settings[name] for name in own})

    @property
    def colour(self) -> Float[Tensor, "3"]:
        """The mean colour, RGB in [0, 1], which is zero after normalisation."""
        mean = torch.tensor(self.mean, dtype=torch.float32) / self.scale
        return (mean.flip(0) if self.bgr else mean).clamp(0, 1)


class Network(nn.Module):
    """A frozen network in evaluation mode whose `forward` normalises.

    In-place activations are disabled, because they would overwrite what `probe.capture` stores. Gradients at the pixels
    are those of `runtime.pixel_gradient` where a strided convolution reads them on a CPU.

    Args:
        module: from normalised images (n, 3, h, w) to scores (n, k) before softmax.
        preprocessing: how images become its input.
        classes: one name per score.
        name: for titles.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, preprocessing: Preprocessing, classes: Sequence[str], name: str) -> None:
        super().__init__()
        for part in module.modules():
            if getattr(part, "inplace", False):
                part.inplace = False  # type: ignore[assignment]
        self.module = module
        self.preprocessing = preprocessing
        self.classes = tuple(classes)
        self.name = name
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Class scores before softmax.

        Args:
            images: RGB in [0, 1], (n, 3, h, w).

        Returns:
            (n, k).
        """
        with FastPixelGradient() if images.requires_grad else nullcontext():
            return self.module(self.normalise(images))

    def scores(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """As `forward`, but without a graph, on the network's device, and in smaller batches if memory is insufficient.

        On a CPU channels come last and few images at once go through the network, which is 1.1 to 3.1 times as fast
        (benchmarks/scores.py); scores agree to 2e-6 of the largest one. Gradients would not: where a ReLU or a maximum
        decides differently they change by much more.

        Args:
            images: RGB in [0, 1], (n, 3, h, w), on any device.

        Returns:
            (n, k), on the network's device.
        """
        with torch.no_grad():
            return torch.cat(halved(lambda part: self._scored(images[part].to(self.device)), len(images), "scores"))

    def _scored(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        if self.device.type != "cpu":
            return self(images)
        few = max(1, _AT_ONCE // (images.shape[2] * images.shape[3]))
        return torch.cat([self(part.contiguous(memory_format=torch.channels_last)) for part in images.split(few)])

    def normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The network's own input: channel order, scale, mean and standard deviation.

        Args:
            images: RGB in [0, 1], (n, 3, h, w).

        Returns:
            (n, 3, h, w), (x * scale - mean) / std.
        """
        ordered = images.flip(1) if self.preprocessing.bgr else images
        return (ordered * self.preprocessing.scale - self.mean) / self.std

    @property
    def layers(self) -> tuple[str, ...]:
        """Dotted names of all parts, as for `capture` and `dissect.layers`."""
        return tuple(name for name, _ in self.module.named_modules() if name)

    def layer(self, name: str) -> nn.Module:
        """The part of that name.

        Args:
            name: dotted, as in `layers`.

        Returns:
            The part itself.

        Raises:
            KeyError: if there is none, with the closest names.
        """
        if name not in self.layers:
            raise KeyError(f"{self.name} has no layer {name!r}; {closest(name, self.layers)}")
        return self.module.get_submodule(name)

    @property
    def device(self) -> torch.device:
        """Where it lives."""
        return self.mean.device


def chosen_class(network: Network, wanted: int | str) -> int:
    """The number of a class.

    Args:
        network: with the classes.
        wanted: number from 0, or name in any case; of several synonyms separated by commas any one is accepted.

    Returns:
        Its number; the first, if several classes have that name.

    Raises:
        KeyError: if no class has that name, with the closest names.
        ValueError: if the number is outside the network's classes.
    """
    if not isinstance(wanted, str):
        wanted = operator.index(wanted)  # numpy's and torch's whole numbers, too
        if not 0 <= wanted < len(network.classes):
            raise ValueError(
                f"expected a class of 0..{len(network.classes) - 1}, got {wanted}: {network.name} has none"
            )
        return wanted
    if wanted in network.classes:
        return network.classes.index(wanted)
    names = [(word, number) for number, name in enumerate(network.classes) for word in (name, *name.split(", "))]
    known = {word.casefold(): number for word, number in reversed(names)}
    if wanted.casefold() not in known:
        raise KeyError(f"{network.name} has no class {wanted!r}; {closest(wanted, dict(names))}")
    return known[wanted.casefold()]


def chosen_classes(network: Network, wanted: Sequence[int | str] | int) -> tuple[int, ...]:
    """The numbers of several classes.

    Args:
        network: with the classes.
        wanted: numbers or names, each once; or their number, spread evenly over all.

    Returns:
        Their numbers.

    Raises:
        KeyError: if no class has that name, with the closest names.
        ValueError: if a number is outside the network's classes, one is repeated, or there is none.
    """
    total = len(network.classes)
    if isinstance(wanted, int):
        if not 1 <= wanted <= total:
            raise ValueError(f"expected 1 to {total} classes of {network.name}, got {wanted}")
        return tuple(i * total // wanted for i in range(wanted))
    found = tuple(chosen_class(network, one) for one in wanted)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"expected classes, each once, got {list(wanted)}: name one or more")
    return found
