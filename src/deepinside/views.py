"""From an image of any size to the crops that a network processes, and maps back onto the image.

The canvas is the image with its shorter side at the network's resize length, upsampled if it was smaller;
crops are cut from the canvas. Ten crops are the four corners and the centre and their mirror images
(Krizhevsky et al. 2012, sec. 4.1).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from deepinside.network import Network, Preprocessing
from deepinside.records import Batch, Maps
from deepinside.runtime.memory import halved

CROPS = ("centre", "ten", "warp")  # ways to show a photograph to a network
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Placement(NamedTuple):
    """Where on the canvas a crop was cut, in pixels, and whether it was then mirrored."""

    top: int
    left: int
    mirrored: bool


class Crops(NamedTuple):
    """The canvas of an image and its crops.

    Attributes:
        canvas: the image at the network's scale, RGB in [0, 1], (3, H, W).
        places: position of each crop in the canvas.
        pixels: the crops, RGB in [0, 1], (m, 3, s, s).
    """

    canvas: Float[Tensor, "3 H W"]
    places: tuple[Placement, ...]
    pixels: Float[Tensor, "m 3 s s"]


def resized(
    image: UInt8[Tensor, "3 h w"], height: int, width: int, interpolation: str = "bilinear"
) -> Float[Tensor, "3 height width"]:
    """An image at another size, antialiased.

    Args:
        image: RGB bytes, (3, h, w).
        height: of the result, in pixels.
        width: of the result, in pixels.
        interpolation: `bilinear` or `bicubic`.

    Returns:
        RGB in [0, 1], (3, height, width).
    """
    if (interleaved := image.permute(1, 2, 0)).is_contiguous():  # as a JPEG comes
        pixels = Image.fromarray(interleaved.numpy())
    else:  # a tenth of the time that Image.fromarray takes to interleave the channels
        pixels = Image.merge("RGB", [Image.fromarray(channel) for channel in image.numpy()])
    if pixels.size != (width, height):
        pixels = pixels.resize((width, height), _FILTERS[interpolation])
    return torch.from_numpy(np.asarray(pixels).copy()).permute(2, 0, 1).float().div_(255)


def to_bytes(images: Float[Tensor, "n 3 h w"]) -> UInt8[ndarray, "n h w 3"]:
    """Images as bytes, for figures and files.

    Args:
        images: RGB in [0, 1], (n, 3, h, w).

    Returns:
        Bytes, (n, h, w, 3).
    """
    return (images.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)


def canvas_size(height: int, width: int, resize: int) -> tuple[int, int]:
    """The size of a photograph's canvas.

    Args:
        height: of the photograph, in pixels.
        width: likewise.
        resize: length of the canvas's shorter side, in pixels.

    Returns:
        Height and width, in pixels.
    """
    factor = resize / min(height, width)
    return max(resize, round(height * factor)), max(resize, round(width * factor))


def canvas(image: UInt8[Tensor, "3 h w"], preprocessing: Preprocessing) -> Float[Tensor, "3 H W"]:
    """The photograph with its shorter side at the network's resize length.

    Args:
        image: RGB bytes, (3, h, w), of any size.
        preprocessing: of the network.

    Returns:
        RGB in [0, 1], (3, H, W), min(H, W) = resize.
    """
    height, width = canvas_size(image.shape[1], image.shape[2], preprocessing.resize)
    return resized(image, height, width, preprocessing.interpolation)


def warped(image: UInt8[Tensor, "3 h w"], preprocessing: Preprocessing) -> Float[Tensor, "3 s s"]:
    """The whole image resized to the network's square input.

    Args:
        image: RGB bytes, (3, h, w).
        preprocessing: of the network.

    Returns:
        RGB in [0, 1], (3, input, input).
    """
    return resized(image, preprocessing.input, preprocessing.input, preprocessing.interpolation)


def placements(height: int, width: int, side: int, crops: str) -> tuple[Placement, ...]:
    """Positions of the crops of a canvas.

    Args:
        height: of the canvas, in pixels.
        width: of the canvas, in pixels.
        side: of a crop, in pixels.
        crops: `centre` or `ten`.

    Returns:
        One placement, or ten: corners row by row, centre, then the same mirrored.

    Raises:
        ValueError: if the canvas is smaller than a crop, or `crops` is unknown.
    """
    if min(height, width) < side:
        raise ValueError(f"a crop of {side} pixels does not fit a canvas of {height}x{width}")
    centre = ((height - side) // 2, (width - side) // 2)
    if crops == "centre":
        return (Placement(*centre, mirrored=False),)
    if crops != "ten":
        raise ValueError(f"expected crops 'centre' or 'ten', got {crops!r}")
    bottom, right = height - side, width - side
    corners = ((0, 0), (0, right), (bottom, 0), (bottom, right), centre)
    return tuple(Placement(top, left, mirrored) for mirrored in (False, True) for top, left in corners)


def cut(picture: Float[Tensor, "3 H W"], places: tuple[Placement, ...], side: int) -> Float[Tensor, "m 3 side side"]:
    """Cuts the crops out of a canvas.

    Args:
        picture: the canvas, (3, H, W).
        places: positions of the crops.
        side: of a crop, in pixels.

    Returns:
        (m, 3, side, side), one per placement.
    """
    crops = [picture[:, p.top : p.top + side, p.left : p.left + side] for p in places]
    return torch.stack([crop.flip(-1) if p.mirrored else crop for crop, p in zip(crops, places, strict=True)])


def crops_of(image: UInt8[Tensor, "3 h w"], preprocessing: Preprocessing, crops: str) -> Crops:
    """The canvas of an image and its crops, the inputs of a network.

    Args:
        image: RGB bytes, (3, h, w), of any size.
        preprocessing: of the network.
        crops: `ten` (corners, centre, mirrored) or `centre`, cut from the canvas; or `warp`: the whole photograph
            squeezed to the input, which is then the canvas.

    Returns:
        The canvas and its crops.

    Raises:
        ValueError: if `crops` is unknown.
    """
    if crops not in CROPS:
        raise ValueError(f"expected crops {', '.join(CROPS)}, got {crops!r}")
    warp = crops == "warp"
    picture = warped(image, preprocessing) if warp else canvas(image, preprocessing)
    places = placements(picture.shape[1], picture.shape[2], preprocessing.input, "centre" if warp else crops)
    return Crops(picture, places, cut(picture, places, preprocessing.input))


def merged(
    maps: Float[Tensor, "m k side side"], places: tuple[Placement, ...], height: int, width: int
) -> tuple[Float[Tensor, "k H W"], Bool[Tensor, "H W"]]:
    """Maps of crops placed back on the canvas and averaged where they overlap.

    Args:
        maps: one per crop and target, (m, k, side, side).
        places: where each crop was cut.
        height: of the canvas, in pixels.
        width: of the canvas, in pixels.

    Returns:
        The mean over the crops that cover each pixel, (k, H, W), zero where none does; and which pixels are covered.

    Source: Simonyan et al. 2013, sec. 3.1 (maps of the ten sub-images are averaged).
    """
    side = maps.shape[-1]
    total = maps.new_zeros(maps.shape[1], height, width)
    count = maps.new_zeros(height, width)
    for map_, p in zip(maps, places, strict=True):
        window = (..., slice(p.top, p.top + side), slice(p.left, p.left + side))
        total[window] += map_.flip(-1) if p.mirrored else map_
        count[window] += 1
    return total / count.clamp(min=1), count > 0


def mapped(
    network: Network,
    view: Crops,
    target: int,
    method: Callable[[Network, Batch], Maps],
    name: str,
    work: str = "maps",
) -> tuple[Float[Tensor, "H W"], bool]:
    """The map of one class (or of the unit that the method is set to) on the whole image, from its crops.

    Args:
        network: to visualise.
        view: crops of the image.
        target: class.
        method: is applied to every crop.
        name: of the image, for messages.
        work: name of the method, for the record of batches that did not fit into memory.

    Returns:
        The maps of all crops, un-mirrored, mapped back onto the canvas and averaged where they overlap, (H, W); and
        whether they are signed.

    Source: Simonyan et al. 2013, sec. 3.1.
    """
    count = len(view.pixels)
    batch = Batch(view.pixels, tuple(f"{name}.{i}" for i in range(count)), torch.full((count,), target))
    parts = halved(lambda part: method(network, batch[part]), count, f"crops of {work}")
    values = torch.cat([part.values for part in parts]).cpu()
    whole, _ = merged(values, view.places, view.canvas.shape[1], view.canvas.shape[2])
    return whole[0], parts[0].signed
