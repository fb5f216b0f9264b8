"""SmoothGrad: the gradient averaged over noisy copies of an image (Smilkov et al. 2017)."""

import hashlib
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.methods.saliency import forward, gradients, targets
from deepinside.network import Network
from deepinside.records import Batch, Maps
from deepinside.spelling import closest

# What is averaged of each gradient, and what is made of the average.
AVERAGES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "signed": (torch.positive, torch.abs),
    "magnitude": (torch.abs, torch.positive),
    "square": (torch.square, torch.sqrt),
}


def smooth_grad(
    network: Network,
    batch: Batch,
    *,
    copies: int,
    sigma: float,
    average: str,
    batch_size: int,
    classes: Int[Tensor, "n t"] | None = None,
    rule: str = "gradient",
) -> Maps:
    """M_ij = max over channels of |mean over copies of dS_c/dI at I + e|, e from N(0, (sigma·(max I - min I))²).

    `signed`, the paper's, is the formula above; `magnitude` averages |dS/dI|, and `square` is the root of the average
    of (dS/dI)². The noise depends only on the image's name, so that neither batch nor order matters; noisy copies may
    exceed [0, 1].

    Args:
        network: to visualise.
        batch: (n, 3, h, w); its labels are the classes unless `classes` is set.
        copies: number of noisy copies of every image.
        sigma: standard deviation of the noise, as a share of the image's range.
        average: `signed`, `magnitude` or `square`.
        batch_size: copies per forward pass, which bounds the memory.
        classes: targets per image, (n, t); all t come from the same passes.
        rule: backward rule of the ReLUs: `gradient`, `deconvnet` or `guided` (see `probe.relu_rule`).

    Returns:
        (n, t, h, w), in score per unit of pixel intensity, non-negative; without noise it is saliency.

    Raises:
        ValueError: if a setting makes no sense, nothing says what to look for, or a class is outside the network's.
        UndefinedRule: if a nonlinearity has no such rule.

    Source: Smilkov et al. 2017 (arXiv 1706.03825) and their code, PAIR-code/saliency: `signed` as in 2017, `square` as
    it is by default since.
    Deviation: the range is that of RGB in [0, 1], not of the normalised input, so that it is the same for every
    network; `square` takes the root, so that its unit is that of the others (the order of the pixels is the same).
    """
    if average not in AVERAGES:
        raise ValueError(f"unknown average {average!r}; {closest(average, AVERAGES)}")
    if copies < 1 or batch_size < 1 or sigma < 0:
        raise ValueError(
            f"expected copies and batch_size of at least 1, sigma of at least 0, got {copies=}, {batch_size=}, {sigma=}"
        )
    wanted = targets(batch, classes)
    maps = []
    for image, name, row in zip(batch.images, batch.names, wanted, strict=True):
        noisy = _noisy(image, name, sigma, copies, batch_size)
        maps.append(_averaged(network, noisy, row, average, rule))
    return Maps(torch.stack(maps))


def _noise(name: str, count: int, size: tuple[int, ...]) -> Iterator[Float[Tensor, "*size"]]:
    # Standard normal, one copy after the other, so that the first ones are the same whatever the count.
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()  # a file's name need not be text
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
    for _ in range(count):
        yield torch.randn(size, generator=generator, dtype=torch.float32)


def _noisy(
    image: Float[Tensor, "3 h w"], name: str, sigma: float, copies: int, batch_size: int
) -> Iterator[Float[Tensor, "m 3 h w"]]:
    spread = sigma * (image.max() - image.min())
    made = _noise(name, copies, tuple(image.shape))
    for start in range(0, copies, batch_size):
        part = [next(made) for _ in range(min(batch_size, copies - start))]
        yield image + spread * torch.stack(part).to(image)


def _averaged(
    network: Network, noisy: Iterator[Float[Tensor, "m 3 h w"]], classes: Int[Tensor, " t"], average: str, rule: str
) -> Float[Tensor, "t h w"]:
    before, after = AVERAGES[average]
    sums: list[Tensor] = []
    count = 0
    for part in noisy:
        images, scores = forward(network, part, rule)
        found = [before(g).sum(dim=0) for g in gradients(images, scores, classes.expand(len(part), -1))]
        sums = [total + new for total, new in zip(sums, found, strict=True)] if sums else found
        count += len(part)
    return after(torch.stack(sums) / count).amax(dim=1)
