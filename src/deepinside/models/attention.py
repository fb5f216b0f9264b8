"""A compact transformer: a convolutional stem, then blocks of self-attention over the positions of its grid."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm

from deepinside.models.checkpoint import assembled
from deepinside.models.stem import grid_side, stem_layers
from deepinside.network import Network, Preprocessing


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of the channels at every position of a map."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalises each position by itself.

        Args:
            input: (n, c, h, w).

        Returns:
            (n, c, h, w).
        """
        last = input.permute(0, 2, 3, 1)
        return layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class Position(nn.Module):
    """Adds a learned vector to every position of the grid; on another grid it is interpolated.

    Args:
        width: channels.
        side: of the grid.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, width, side, side))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """N(0, 0.02^2), as in Dosovitskiy et al. 2021."""
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Adds it.

        Args:
            maps: (n, c, h, w).

        Returns:
            (n, c, h, w).
        """
        fits = maps.shape[2:] == self.weight.shape[2:]
        return maps + (self.weight if fits else interpolate(self.weight, maps.shape[2:], mode="bilinear"))


class Attention(nn.Module):
    """Self-attention of the positions of a map: softmax(q k / sqrt(d)) v in each head.

    Queries, keys and values are 1x1 convolutions, so that their outputs are maps; `weights` is the softmax, whose
    output is (n, heads, positions, positions), from rows that attend to columns that are attended to.

    Args:
        width: channels.
        heads: their number.

    Source: Vaswani et al. 2017, sec. 3.2.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Conv2d(width, width, 1)
        self.key = nn.Conv2d(width, width, 1, bias=False)  # the softmax does not see its bias
        self.value = nn.Conv2d(width, width, 1)
        self.weights = nn.Softmax(dim=-1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Mixes the positions.

        Args:
            maps: (n, c, h, w).

        Returns:
            (n, c, h, w).
        """
        q, k, v = (part(maps).flatten(2).unflatten(1, (self.heads, -1)) for part in (self.query, self.key, self.value))
        weights = self.weights(q.transpose(2, 3) @ k / q.shape[2] ** 0.5)
        mixed = v @ weights.transpose(2, 3)
        return self.out(mixed.flatten(1, 2).unflatten(2, maps.shape[2:]))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)) with a GELU; every layer's output is a map.

    Args:
        width: channels.
        heads: of the attention.
        hidden: channels of the multilayer perceptron.
        dropout: share of its outputs and of the attention's silenced in training.

    Source: Dosovitskiy et al. 2021, sec. 3.1.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = ChannelNorm(width)
        self.mlp1 = nn.Conv2d(width, hidden, 1)
        self.gelu = nn.GELU()
        self.mlp2 = nn.Conv2d(hidden, width, 1)
        self.drop1, self.drop2 = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """One block.

        Args:
            maps: (n, c, h, w).

        Returns:
            (n, c, h, w).
        """
        maps = maps + self.drop1(self.attention(self.norm1(maps)))
        return maps + self.drop2(self.mlp2(self.gelu(self.mlp1(self.norm2(maps)))))


class Transformer(nn.Sequential):
    """Convolutions, positions, `block1`, `block2`, ..., `norm`, the mean over positions, and a linear layer `fc`.

    At its defaults an input of 64 pixels becomes 8x8 tokens, 8 pixels apart. Tokens stay in their grid: the output of
    every layer is a map (n, channels, h, w), as a convolution's is.

    Args:
        outputs: number of classes.
        stem: channels of the convolutions, each at a stride of 2; the last is the width of the blocks.
        depth: number of blocks.
        heads: of each attention.
        ratio: hidden channels of a block over its width.
        dropout: share of a block's outputs silenced in training.
        input: side of the square input, in pixels.

    Raises:
        ValueError: if a size is wrong, or the width does not divide into the heads.

    Source: Hassani et al. 2021 (compact transformers: convolutions in place of patches); Dosovitskiy et al. 2021.
    Deviation: the mean over positions in place of a class token, so that all tokens are places of the image.
    """

    def __init__(
        self,
        outputs: int = 1000,
        *,
        stem: Sequence[int] = (32, 64, 96),
        depth: int = 3,
        heads: int = 4,
        ratio: int = 2,
        dropout: float = 0.1,
        input: int = 64,
    ) -> None:
        parts = stem_layers(stem)
        width, side = stem[-1], grid_side(input, stem)
        if depth < 1 or heads < 1 or ratio < 1:
            raise ValueError(f"expected depth, heads and ratio of at least 1, got {depth}, {heads} and {ratio}")
        if width % heads:
            raise ValueError(f"expected the last width of stem to be a multiple of heads={heads}, got {width}")
        parts["position"] = Position(width, side)
        for i in range(1, depth + 1):
            parts[f"block{i}"] = Block(width, heads, ratio * width, dropout)
        parts["norm"] = ChannelNorm(width)
        parts["pool"] = nn.AdaptiveAvgPool2d(1)
        parts["flatten"] = nn.Flatten()
        parts["fc"] = nn.Linear(width, outputs)
        super().__init__(parts)


def attention(
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "attention",
    fit: bool = True,  # ruff: ignore[unused-function-argument]  read by the train stage
    stem: Sequence[int] = (32, 64, 96),
    depth: int = 3,
    heads: int = 4,
    ratio: int = 2,
    dropout: float = 0.1,
    input: int = 64,
    **preprocessing: Any,
) -> Network:
    """Builds a compact transformer with its preprocessing.

    Args:
        weights: safetensors or state-dict file; None or `random`: random weights from torch's global generator.
        classes: one name per output; None: as many outputs as `weights` has (1000 without), ImageNet's names for 1000.
        name: for titles.
        fit: whether the train stage trains it when `weights` is None.
        stem: channels of the convolutions, each at a stride of 2.
        depth: number of blocks.
        heads: of each attention.
        ratio: hidden channels of a block over its width.
        dropout: share of a block's outputs silenced in training.
        input: side of the square input, in pixels.
        **preprocessing: mean, std, resize, bgr, scale, interpolation, as in `Preprocessing`; what is None or missing is
            as in `conf/model/attention.yaml`.

    Returns:
        The network, frozen.
    """
    sizes: dict[str, Any] = {
        "stem": tuple(stem),
        "depth": depth,
        "heads": heads,
        "ratio": ratio,
        "dropout": dropout,
        "input": input,
    }
    settings = Preprocessing.of("attention", input=input, **preprocessing)
    return assembled(partial(Transformer, **sizes), weights, "fc.bias", settings, classes, name)
