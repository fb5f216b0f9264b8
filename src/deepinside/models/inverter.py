"""A network's code and the way back to a picture, as methods take it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.models.checkpoint import load_weights
from deepinside.models.upconvnet import CodeStatistics, UpConvNet
from deepinside.network import Network
from deepinside.probe.codes import codes

CONTENTS = "inverters.json"


@dataclass(frozen=True)
class Inverter:
    """A network's code and the way back.

    Args:
        network: that answers the code.
        name: of the code.
        module: trained on it.
    """

    network: Network
    name: str
    module: UpConvNet

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 s s"]:
        """What the code still tells of some pictures.

        Args:
            images: RGB in [0, 1], (n, 3, h, w).

        Returns:
            RGB in [0, 1], (n, 3, input, input), detached.
        """
        with torch.no_grad():
            return self.invert(self.code(images))

    def code(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n u *grid"]:
        """The raw code of some pictures, attached to the graph.

        Args:
            images: RGB in [0, 1], (n, 3, h, w).

        Returns:
            (n, u) or (n, u, y, x).
        """
        return codes(self.network, images, [self.name])[self.name]

    def picture(self, code: Float[Tensor, "n u *grid"]) -> Float[Tensor, "n 3 s s"]:
        """The picture of a raw code, attached to the graph and not clamped: a generator.

        Args:
            code: (n, u) or (n, u, y, x).

        Returns:
            RGB, in the units of [0, 1], (n, 3, input, input).
        """
        return self.module(code)

    def invert(self, code: Float[Tensor, "n u *grid"]) -> Float[Tensor, "n 3 s s"]:
        """The picture of a raw code, as it is shown.

        Args:
            code: (n, u) or (n, u, y, x).

        Returns:
            RGB in [0, 1], (n, 3, input, input), detached.
        """
        with torch.no_grad():
            return self.module(code).clamp(0, 1)

    @property
    def statistics(self) -> CodeStatistics:
        """Of the raw code over the training pictures."""
        module = self.module
        return CodeStatistics(module.mean, module.std, module.low, module.high)


def load_inverters(folder: Path, network: Network) -> Mapping[str, Inverter]:
    """Reads what the stage `invert` left.

    Args:
        folder: its artifact, with `inverters.json` and `<code>.safetensors`.
        network: that they were trained on.

    Returns:
        Code -> inverter, frozen, on the network's device, in the order of training.
    """
    contents: dict[str, dict[str, Any]] = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    found = {}
    for name, told in contents.items():
        with torch.random.fork_rng():
            module = UpConvNet(**told["architecture"])
        load_weights(module, folder / f"{name}.safetensors")
        found[name] = Inverter(network, name, module.requires_grad_(False).eval().to(network.device))
    return found
