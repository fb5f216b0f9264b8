"""RISE: the mean probability of a class under random masks that show a pixel (Petsiuk et al. 2018)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from deepinside.network import Network
from deepinside.records import Batch, Maps


def masks(
    count: int, size: tuple[int, int], cells: int, shown: float, *, batch_size: int = 50, seed: int = 0
) -> Iterator[Float[Tensor, "m h w"]]:
    """Random masks: a coarse grid of zeros and ones, bilinearly upsampled and randomly shifted.

    Args:
        count: of masks.
        size: (h, w) of the image, in pixels.
        cells: of the grid, along each side.
        shown: probability that a cell is one.
        batch_size: masks at a time, which does not change them.
        seed: of the random numbers.

    Yields:
        In [0, 1].

    Source: Petsiuk et al. 2018, sec. 3.2.
    """
    random = torch.Generator().manual_seed(seed)
    tall, wide = (-(-side // cells) for side in size)  # a cell, in pixels
    grids = (torch.rand(count, 1, cells + 1, cells + 1, generator=random) < shown).float()
    down, across = (torch.randint(side, (count,), generator=random) for side in (tall, wide))
    parts = (values.split(batch_size) for values in (grids, down, across))
    for grid, top, left in zip(*parts, strict=True):
        large = interpolate(grid, ((cells + 1) * tall, (cells + 1) * wide), mode="bilinear", align_corners=False)
        places = zip(large[:, 0], top.tolist(), left.tolist(), strict=True)
        yield torch.stack([one[y : y + size[0], x : x + size[1]] for one, y, x in places])


def rise(
    network: Network,
    batch: Batch,
    *,
    count: int = 1000,
    cells: int = 7,
    shown: float = 0.5,
    batch_size: int = 50,
    seed: int = 0,
) -> Maps:
    """M_ij = sum over masks m of P_c(I m) m_ij / (count shown): the pixels whose presence makes the class probable.

    What a mask hides becomes the network's mean colour.

    Args:
        network: to visualise.
        batch: (n, 3, h, w), with labels, the classes.
        count: of masks.
        cells: of a mask's grid, along each side.
        shown: probability that a cell is shown.
        batch_size: masked images per forward pass.
        seed: of the masks, the same for every image.

    Returns:
        (n, 1, h, w), in probability, non-negative.

    Raises:
        ValueError: if there are no labels, one is outside the network's, or a number is out of range.

    Source: Petsiuk et al. 2018 (arXiv 1806.07421), eq. 6.
    """
    if batch.labels is None:
        raise ValueError("expected a batch with labels, got none: add the labels")
    if ((batch.labels < 0) | (batch.labels >= len(network.classes))).any():
        raise ValueError(f"expected classes in 0..{len(network.classes) - 1}, got {batch.labels.unique().tolist()}")
    if not 0 < shown <= 1 or min(count, cells, batch_size) < 1:
        raise ValueError(f"expected shown in (0, 1], count, cells and batch_size of at least 1, got {shown}, {count}, "
                         f"{cells}, {batch_size}")  # fmt: skip
    size = (batch.images.shape[2], batch.images.shape[3])
    colour = network.preprocessing.colour.to(network.device).view(1, 3, 1, 1)
    total = torch.zeros(len(batch), *size, dtype=torch.float64)
    for part in masks(count, size, cells, shown, batch_size=batch_size, seed=seed):
        there = part[:, None].to(network.device)
        for number, label in enumerate(batch.labels.tolist()):
            image = batch.images[number].to(network.device)
            shares = network.scores(there * image + (1 - there) * colour).softmax(dim=1)[:, label]
            total[number] += torch.einsum("m,mhw->hw", shares.double().cpu(), part.double())
    return Maps((total / (count * shown))[:, None].float())
