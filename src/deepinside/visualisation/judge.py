"""A second network, which says what class an image of the first one shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from deepinside.data.imagenet import positions
from deepinside.network import Network
from deepinside.views import resized, to_bytes


@dataclass(frozen=True)
class Judge:
    """A second network, which classifies synthesised images among the classes of the first.

    Args:
        network: the second one.
        outputs: its output for each class of the first; None: they have the same classes.
    """

    network: Network
    outputs: tuple[int, ...] | None = None

    @classmethod
    def of(cls, network: Network, classes: Sequence[str], ids: Sequence[str]) -> Self:
        """Finds the classes of the first network among those of the second.

        Args:
            network: the second one.
            classes: names of the first network's classes.
            ids: class ids of the data, such as WordNet ids.

        Returns:
            The judge.

        Raises:
            ValueError: if the second network has other classes.
        """
        if len(network.classes) == len(classes):
            return cls(network)
        found = positions(ids, network.classes) if len(ids) == len(classes) else None
        if found is None:
            raise ValueError(
                f"model@judge={network.name} has {len(network.classes)} classes, the network {len(classes)}: expected "
                "the same classes, or a network of ImageNet's 1000 classes and data named by WordNet ids"
            )
        return cls(network, tuple(found))

    def __call__(self, pictures: Float[Tensor, "n 3 h w"], classes: Sequence[int]) -> tuple[ndarray, ndarray]:
        """Classifies images as photographs: stored in bytes, squeezed into the network's input.

        Args:
            pictures: RGB in [0, 1], (n, 3, h, w).
            classes: of the first network, one per image.

        Returns:
            Rank of the class among those of the first network, from 1 on, and its probability among them, (n,) each.
        """
        scores = self._scores(pictures)
        own = scores.gather(1, torch.tensor(classes)[:, None])
        shares = scores.softmax(dim=1).gather(1, torch.tensor(classes)[:, None])[:, 0]
        return (scores > own).sum(dim=1).numpy() + 1, shares.numpy()

    def place(self, pictures: Float[Tensor, "n 3 h w"], classes: Sequence[int]) -> Float[ndarray, " n"]:
        """The share of the other classes that the second network ranks before the class: 0 first, 0.5 by chance."""
        ranks, _ = self(pictures, classes)
        count = len(self.outputs) if self.outputs is not None else len(self.network.classes)
        return (ranks - 1) / max(count - 1, 1)

    def _scores(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        side, filter_ = self.network.preprocessing.input, self.network.preprocessing.interpolation
        bytes_ = torch.from_numpy(to_bytes(pictures)).permute(0, 3, 1, 2)
        views = torch.stack([resized(picture, side, side, filter_) for picture in bytes_])
        scores = torch.cat([self.network.scores(part).cpu() for part in views.split(32)])
        return scores if self.outputs is None else scores[:, list(self.outputs)]


STRENGTH = 24.0  # grey levels, root mean square about the network's colour: that of class images of middling strength


def equal_norm(pictures: Float[Tensor, "n 3 h w"], colour: Float[Tensor, " 3"]) -> Float[Tensor, "n 3 h w"]:
    """Images of one root mean square, `STRENGTH`, about a colour, so that none is recognised for its strength alone."""
    away = pictures - colour.view(3, 1, 1)
    norm = away.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-8)
    return (colour.view(3, 1, 1) + away / norm * STRENGTH / 255).clamp(0, 1)


def phase_noise(
    pictures: Float[Tensor, "n 3 h w"], colour: Float[Tensor, " 3"], seed: int = 0
) -> Float[Tensor, "n 3 h w"]:
    """Images with the power spectra of given ones and random phases, the same in all three channels.

    Source: Wichmann et al. 2006 (phase noise keeps the amplitude spectrum and the colours).
    """
    middle = colour.view(3, 1, 1)
    noise = torch.rand(pictures.shape[2:], generator=torch.Generator().manual_seed(seed))
    phases = torch.fft.fft2(noise).angle()  # of a real image: its inverse is real
    mixed = torch.fft.ifft2(torch.fft.fft2((pictures - middle).cpu()) * torch.exp(1j * phases)).real
    return middle + mixed.float()


def quarters(pictures: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n 3 y x"]]:
    """The four quarters of images."""
    h, w = pictures.shape[2] // 2, pictures.shape[3] // 2
    return [pictures[:, :, y : y + h, x : x + w] for y in (0, h) for x in (0, w)]
