"""Numbers that go with pictures and maps: how noisy, how well placed."""

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.records import Boxes


def high_frequency_share(images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Share of the power, the mean left out, above a quarter of the Nyquist frequency.

    Args:
        images: any scale, (n, c, h, w).

    Returns:
        0..1 per picture; NaN for a picture of one colour. White noise has 1 - pi/64 = 0.95.

    Source: own proxy for the readability of synthesised pictures.
    """
    spectrum = (
        torch.fft.fft2(images.double() - images.double().mean(dim=(2, 3), keepdim=True)).abs().square().sum(dim=1)
    )
    height, width = images.shape[2:]
    y = torch.fft.fftfreq(height, device=images.device)[:, None]  # cycles per pixel; Nyquist is 0.5
    x = torch.fft.fftfreq(width, device=images.device)[None]
    high = (y.square() + x.square()).sqrt() > 0.125
    return (spectrum * high).sum(dim=(1, 2)) / spectrum.sum(dim=(1, 2))


def energy_ratio(map_: Float[Tensor, "h w"], boxes: Boxes) -> float:
    """Energy of a map inside the boxes, relative to their share of the area: 1 is chance.

    Args:
        map_: not negative, (h, w).
        boxes: in the pixels of the map.

    Returns:
        (energy inside / all energy) / (pixels inside / all pixels); NaN for an empty map.

    Source: own proxy for Simonyan et al. 2013, sec. 3: the map finds the object.
    """
    inside = torch.zeros_like(map_, dtype=torch.bool)
    for x0, y0, x1, y1 in boxes.xyxy.round().astype(int).tolist():
        inside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    share = inside.double().mean()
    return float(map_[inside].double().sum() / map_.double().sum() / share)
