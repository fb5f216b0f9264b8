"""A recurrent network that reads an image row by row."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinside.models.checkpoint import assembled
from deepinside.models.stem import grid_side, stem_layers
from deepinside.network import Network, Preprocessing
from deepinside.spelling import closest

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
READ = ("last", "mean")


class Rows(nn.Module):
    """A recurrent layer whose steps are the rows of a map, from top to bottom.

    Args:
        features: of a row: channels times columns.
        width: units.
        cell: `lstm`, `gru` or `rnn`.
    """

    def __init__(self, features: int, width: int, cell: str) -> None:
        super().__init__()
        self.cells = CELLS[cell](features, width, batch_first=True)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n u h 1"]:
        """The state after each row, as a map with one column.

        Args:
            maps: (n, c, h, w) with c * w features.

        Returns:
            (n, u, h, 1): row t depends on the rows 0..t of `maps`.
        """
        steps = maps.transpose(1, 2).flatten(2)
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN's have no backward pass in evaluation mode
            states, _ = self.cells(steps)
        return states.transpose(1, 2)[..., None]


class Read(nn.Module):
    """What the scores are computed from: the last state, or the mean of all.

    Args:
        read: `last` or `mean`.
    """

    def __init__(self, read: str) -> None:
        super().__init__()
        self.read = read

    def forward(self, states: Float[Tensor, "n u h 1"]) -> Float[Tensor, "n u"]:
        """One vector of an image.

        Args:
            states: (n, u, h, 1).

        Returns:
            (n, u).
        """
        return states[:, :, -1, 0] if self.read == "last" else states.mean(dim=(2, 3))


class Recurrent(nn.Sequential):
    """Convolutions, then recurrent layers `rows1`, `rows2`, ... over the rows of their maps, and a linear layer `fc`.

    At its defaults an input of 64 pixels becomes 16 rows, 4 pixels apart. Units of the recurrent layers have a map with
    one column: what they see is as wide as the image.

    Args:
        outputs: number of classes.
        stem: channels of the convolutions, each at a stride of 2.
        width: units of each recurrent layer.
        layers: their number.
        cell: `lstm`, `gru` or `rnn` (tanh).
        read: the scores are of the `last` state or of the `mean` of all.
        dropout: share of the features of `fc` silenced in training.
        input: side of the square input, in pixels.

    Raises:
        ValueError: if a size is wrong, or a word unknown.

    Source: Hochreiter & Schmidhuber 1997 (LSTM); Cho et al. 2014 (GRU); Elman 1990 (RNN).
    """

    def __init__(
        self,
        outputs: int = 1000,
        *,
        stem: Sequence[int] = (32, 32),
        width: int = 256,
        layers: int = 2,
        cell: str = "lstm",
        read: str = "last",
        dropout: float = 0.2,
        input: int = 64,
    ) -> None:
        for word, value, known in (("cell", cell, CELLS), ("read", read, READ)):
            if value not in known:
                raise ValueError(f"unknown {word}={value!r} of a recurrent network; {closest(value, known)}")
        if width < 1 or layers < 1:
            raise ValueError(f"expected width and layers of at least 1, got {width} and {layers}")
        parts = stem_layers(stem)
        features = stem[-1] * grid_side(input, stem)
        for i in range(1, layers + 1):
            parts[f"rows{i}"] = Rows(features, width, cell)
            features = width
        parts["read"] = Read(read)
        parts["drop"] = nn.Dropout(dropout)
        parts["fc"] = nn.Linear(width, outputs)
        super().__init__(parts)


def recurrent(
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "recurrent",
    fit: bool = True,  # ruff: ignore[unused-function-argument]  read by the train stage
    stem: Sequence[int] = (32, 32),
    width: int = 256,
    layers: int = 2,
    cell: str = "lstm",
    read: str = "last",
    dropout: float = 0.2,
    input: int = 64,
    **preprocessing: Any,
) -> Network:
    """Builds a recurrent network with its preprocessing.

    Args:
        weights: safetensors or state-dict file; None or `random`: random weights from torch's global generator.
        classes: one name per output; None: as many outputs as `weights` has (1000 without), ImageNet's names for 1000.
        name: for titles.
        fit: whether the train stage trains it when `weights` is None.
        stem: channels of the convolutions, each at a stride of 2.
        width: units of each recurrent layer.
        layers: their number.
        cell: `lstm`, `gru` or `rnn`.
        read: `last` or `mean`.
        dropout: share of the features of the last layer silenced in training.
        input: side of the square input, in pixels.
        **preprocessing: mean, std, resize, bgr, scale, interpolation, as in `Preprocessing`; what is None or missing is
            as in `conf/model/recurrent.yaml`.

    Returns:
        The network, frozen.
    """
    sizes: dict[str, Any] = {"stem": tuple(stem), "width": width, "layers": layers, "dropout": dropout, "input": input}
    settings = Preprocessing.of("recurrent", input=input, **preprocessing)
    return assembled(partial(Recurrent, cell=cell, read=read, **sizes), weights, "fc.bias", settings, classes, name)
