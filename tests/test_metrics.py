"""Numbers beside images: known spectra, boxes by hand."""

import math

import numpy as np
import pytest
import torch

from deepinside.metrics import energy_ratio, high_frequency_share, iou_ceiling
from deepinside.records import Boxes


def test_pure_waves_lie_on_one_side() -> None:
    x = torch.arange(64.0)
    slow = torch.sin(2 * math.pi * x / 16).expand(1, 1, 48, 64)  # 1/16 cycle per pixel, an eighth of Nyquist
    fast = torch.sin(2 * math.pi * x / 4).expand(1, 1, 48, 64)  # half of Nyquist
    assert high_frequency_share(slow).item() == pytest.approx(0, abs=1e-9)
    assert high_frequency_share(fast).item() == pytest.approx(1, abs=1e-9)


def test_white_noise_has_its_share_of_the_plane() -> None:
    noise = torch.randn(4, 3, 128, 96, generator=torch.Generator().manual_seed(0))
    assert high_frequency_share(noise).mean().item() == pytest.approx(1 - math.pi / 64, abs=0.01)


def test_energy_ratio_by_hand() -> None:
    map_ = torch.zeros(4, 6)
    map_[1, 2] = 3.0  # row 1, column 2
    map_[3, 5] = 1.0
    # 3 of 4 units of energy in a box of 2 x 2 of 24 pixels.
    assert energy_ratio(map_, Boxes([[2, 1, 4, 3]])) == pytest.approx(0.75 / (4 / 24))
    assert energy_ratio(torch.ones(4, 6), Boxes([[2, 1, 4, 3]])) == pytest.approx(1)
    assert math.isnan(energy_ratio(torch.zeros(4, 6), Boxes([[2, 1, 4, 3]])))


def test_iou_ceiling_by_hand() -> None:
    # 100 images, a mask covers half an image (0.005 of all); in whole images:
    truth, room = np.array([2.0, 0.1, 0.1, 0.0]), np.array([40, 40, 100, 40])
    # two images: 0.5 of 2; a tenth: the rest of the mask fits elsewhere, or, with the category in all images, cannot
    assert iou_ceiling(truth, room, 100, 0.005) == pytest.approx([0.25, 1, 0.2, 0])
    assert (iou_ceiling(truth * 64, room * 64, 6400, 0.005) == iou_ceiling(truth, room, 100, 0.005)).all()  # of pixels
