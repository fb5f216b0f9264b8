"""Networks that invert features: up-convolutional decoders, their discriminator, and their files."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from deepinside.models.checkpoint import load_weights
from deepinside.network import Network
from deepinside.probe.codes import codes

_SLOPE = 0.2  # of the leaky ReLUs (Dosovitskiy & Brox 2016)
_GRID = 4  # side of the output of the fully connected layers, in cells


class CodeStatistics(NamedTuple):
    """Of a raw code over the training images, per unit (vectors) or channel (maps), each (u,)."""

    mean: Float[Tensor, " u"]
    std: Float[Tensor, " u"]
    low: Float[Tensor, " u"]
    high: Float[Tensor, " u"]


def legible(code: Float[Tensor, "n u *grid"], floor: float | None) -> Float[Tensor, "n u *grid"]:
    """The code, or log(code + floor) for probabilities, which range over many powers of ten.

    Args:
        code: raw.
        floor: above 0; None: no logarithm.

    Returns:
        Of the same shape.
    """
    return code if floor is None else (code + floor).log()


class UpConvNet(nn.Module):
    """f(code) -> image: standardise, three layers on the code's own grid, then up-convolutions that double it.

    Vectors pass two fully connected layers and are reshaped to a grid of 4x4; maps pass three 3x3 convolutions. Then
    follow 5x5 up-convolutions of stride 2 with leaky ReLUs in between, until the grid is as close to `side` as doubling
    permits, and a bilinear resize to the network's input.

    Args:
        shape: of a code, (u,) or (u, y, x).
        input: side of the image, in pixels.
        hidden: units of the fully connected layer for a vector.
        channels: of the 3x3 convolutions for maps.
        widths: channels between up-convolutions, the finest last. More doublings repeat the first, fewer omit it.
        side: target of the up-convolutions, in pixels; None: `input`.
        colour: RGB in [0, 1], that the network subtracts.
        floor: of `legible`.

    Raises:
        ValueError: if the code has another form, or there is no width.

    Source: Dosovitskiy & Brox 2016.
    Deviation: as many doublings as the input needs (the paper: five), weights are initialised as in He et al. 2015, and
        probabilities may be read as logarithms.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor
    centre: Tensor
    spread: Tensor
    colour: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        input: int,
        hidden: int,
        channels: int,
        widths: Sequence[int],
        side: int | None = None,
        colour: Sequence[float] = (0.5, 0.5, 0.5),
        floor: float | None = None,
    ) -> None:
        super().__init__()
        if len(shape) not in {1, 3} or not widths:
            raise ValueError(f"expected a code (u,) or (u, y, x) and some widths, got {tuple(shape)}, {list(widths)}")
        units, grid = shape[0], min(shape[1:]) if len(shape) == 3 else _GRID
        doublings = max(1, round(math.log2((side or input) / grid)))
        inner = [*[widths[0]] * (doublings - len(widths)), *widths][-doublings:]
        maps = len(shape) == 3
        self.head = _maps_head(units, channels, inner[0]) if maps else _vector_head(units, hidden, inner[0])
        self.ups = nn.Sequential(*_ups([*inner, 3]))
        self.input = input
        self.floor = floor
        for name in (*CodeStatistics._fields, "centre", "spread"):
            self.register_buffer(name, torch.full((units,), float(name in {"std", "spread"})))
        self.register_buffer("colour", torch.tensor(colour, dtype=torch.float32).view(3, 1, 1))
        _start(self)

    def forward(self, code: Float[Tensor, "n u *grid"]) -> Float[Tensor, "n 3 s s"]:
        """The image of a code, not clamped.

        Args:
            code: raw, (n, u) or (n, u, y, x).

        Returns:
            RGB, in the units of [0, 1], (n, 3, input, input).
        """
        fine = self.ups(self.head(self.standardised(code)))
        if fine.shape[2:] != (self.input, self.input):
            fine = interpolate(fine, (self.input, self.input), mode="bilinear", align_corners=False)
        return self.colour + fine

    def standardised(self, code: Float[Tensor, "n u *grid"]) -> Float[Tensor, "n u *grid"]:
        """(legible code - mean) / std, per unit or channel; a constant one is only shifted.

        Args:
            code: raw.

        Returns:
            Of the same shape.
        """
        spread = torch.where(self.spread > 0, self.spread, 1)
        return (legible(code, self.floor) - _along(self.centre, code)) / _along(spread, code)

    def settle(self, raw: CodeStatistics, read: CodeStatistics) -> None:
        """Sets the statistics of the training images, which are stored with the weights.

        Args:
            raw: of the raw code.
            read: of the legible code; the same without a floor.
        """
        for name, values in {**raw._asdict(), "centre": read.mean, "spread": read.std}.items():
            getattr(self, name).copy_(values)


def _along(values: Tensor, code: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (code.ndim - 2))


def _vector_head(units: int, hidden: int, width: int) -> nn.Sequential:
    cells = width * _GRID**2
    parts: list[nn.Module] = [nn.Linear(units, hidden), nn.LeakyReLU(_SLOPE), nn.Linear(hidden, cells)]
    return nn.Sequential(*parts, nn.LeakyReLU(_SLOPE), nn.Unflatten(1, (width, _GRID, _GRID)))


def _maps_head(units: int, channels: int, width: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for inputs, outputs in ((units, channels), (channels, channels), (channels, width)):
        parts += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*parts)


def _ups(widths: Sequence[int]) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        parts += [nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1), nn.LeakyReLU(_SLOPE)]
    return parts[:-1]  # the image itself may be darker than the mean colour


def _start(net: UpConvNet) -> None:
    last = net.ups[-1]
    for part in net.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            # An up-convolution of stride 2: a quarter of the filter meets each pixel.
            inputs = part.in_channels * 25 / 4 if isinstance(part, nn.ConvTranspose2d) else part.weight[0].numel()
            gain = 0.1 if part is last else math.sqrt(2 / (1 + _SLOPE**2))  # starts near the mean colour
            nn.init.normal_(part.weight, std=gain / math.sqrt(inputs))
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]


class Discriminator(nn.Sequential):
    """5x5 convolutions of stride 2, leaky ReLUs, the mean over positions, one score: positive for real images.

    Args:
        widths: channels, the finest first.

    Source: Dosovitskiy & Brox 2016b (DeePSiM).
    Deviation: smaller, and its only input is the image; the paper's also has the code.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64)) -> None:
        parts: list[nn.Module] = []
        for inputs, outputs in zip((3, *widths), widths, strict=False):
            conv = nn.Conv2d(inputs, outputs, 5, stride=2, padding=2)
            nn.init.normal_(conv.weight, std=math.sqrt(2 / (1 + _SLOPE**2) / (inputs * 25)))
            parts += [conv, nn.LeakyReLU(_SLOPE)]
        super().__init__(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Scores of realism.

        Args:
            images: RGB, in the units of [0, 1], (n, 3, h, w).

        Returns:
            Scores, (n,).
        """
        return super().forward(images - 0.5).flatten()


CONTENTS = "inverters.json"


@dataclass(frozen=True)
class Inverter:
    """A network's code and its trained inverse.

    Args:
        network: of the code.
        name: of the code.
        module: trained on the code.
    """

    network: Network
    name: str
    module: UpConvNet

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 s s"]:
        """Reconstructs images from their codes.

        Args:
            images: RGB in [0, 1], (n, 3, h, w).

        Returns:
            RGB in [0, 1], (n, 3, input, input), detached.
        """
        with torch.no_grad():
            return self.invert(self.code(images))

    def code(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n u *grid"]:
        """The raw code of some images, attached to the graph.

        Args:
            images: RGB in [0, 1], (n, 3, h, w).

        Returns:
            (n, u) or (n, u, y, x).
        """
        return codes(self.network, images, [self.name])[self.name]

    def picture(self, code: Float[Tensor, "n u *grid"]) -> Float[Tensor, "n 3 s s"]:
        """The image of a raw code, attached to the graph and not clamped: a generator.

        Args:
            code: (n, u) or (n, u, y, x).

        Returns:
            RGB, in the units of [0, 1], (n, 3, input, input).
        """
        return self.module(code)

    def invert(self, code: Float[Tensor, "n u *grid"]) -> Float[Tensor, "n 3 s s"]:
        """The image of a raw code, clipped for display.

        Args:
            code: (n, u) or (n, u, y, x).

        Returns:
            RGB in [0, 1], (n, 3, input, input), detached.
        """
        with torch.no_grad():
            return self.module(code).clamp(0, 1)

    @property
    def statistics(self) -> CodeStatistics:
        """Of the raw code over the training images."""
        module = self.module
        return CodeStatistics(module.mean, module.std, module.low, module.high)


def load_inverters(folder: Path, network: Network) -> Mapping[str, Inverter]:
    """Reads the inverters of the stage `invert`.

    Args:
        folder: its artifact, with `inverters.json` and `<code>.safetensors`.
        network: that they were trained on.

    Returns:
        Code -> inverter, frozen, on the network's device, in the order of training.
    """
    contents: dict[str, dict[str, Any]] = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    found = {}
    for name, content in contents.items():
        with torch.random.fork_rng():
            module = UpConvNet(**content["architecture"])
        load_weights(module, folder / f"{name}.safetensors")
        found[name] = Inverter(network, name, module.requires_grad_(False).eval().to(network.device))
    return found
