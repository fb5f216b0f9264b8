"""HOG against scikit-image, and its derivative."""

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from skimage.feature import hog as theirs

from deepinside.models.hog import Hog
from deepinside.pipeline import configuration
from deepinside.probe.codes import codes


def drawn(seed: int, height: int, width: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    smooth = random.random((3, height // 4 + 2, width // 4 + 2)).repeat(4, 1).repeat(4, 2)[:, :height, :width]
    return torch.from_numpy(smooth * 0.7 + 0.3 * random.random((3, height, width)))


@pytest.mark.parametrize(("height", "width"), [(48, 64), (45, 61), (24, 40)])
@pytest.mark.parametrize(("block", "orientations"), [(3, 9), (2, 6)])
def test_hard_binning_is_scikit_images(height, width, block, orientations) -> None:
    for dtype in (torch.float64, torch.float32):
        image = drawn(height, height, width).to(dtype)
        ours = Hog(8, block, orientations, "hard")(image[None])[0]
        settings = {"pixels_per_cell": (8, 8), "cells_per_block": (block, block), "block_norm": "L2-Hys"}
        expected = theirs(
            image.permute(1, 2, 0).numpy(), orientations, channel_axis=2, feature_vector=False, **settings
        )
        assert ours.shape[1:] == expected.shape[:2]  # y, x
        rows = torch.from_numpy(expected).permute(4, 2, 3, 0, 1).flatten(0, 2)  # orientation, row, column in the block
        assert torch.allclose(ours.double(), rows.double(), atol=1e-4)


def test_a_ramp_by_hand() -> None:
    """Brightness rises to the right and nothing else: angle 0, between the last bin's centre and the first one's."""
    ramp = torch.arange(24.0).expand(1, 3, 16, 24) / 24
    cells = Hog(8, 1, 9, "hard").histograms(ramp)
    assert cells.shape == (1, 9, 2, 3)  # n, orientation, y, x
    assert cells[0, 0, 0, 1] == pytest.approx(2 / 24)
    assert cells[0, 0, 0, 0] == pytest.approx(2 / 24 * 7 / 8)  # no gradient at the border
    assert (cells[0, 1:] == 0).all()
    linear = Hog(8, 1, 9, "linear").histograms(ramp)
    assert torch.allclose(linear[0, 0], cells[0, 0] / 2)
    assert torch.allclose(linear[0, 8], cells[0, 0] / 2)
    assert torch.allclose(linear.sum(1), cells.sum(1))  # shared, not lost


def test_linear_binning_is_continuous_and_hard_is_not() -> None:
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")

    def tilted(degrees: float, binning: str) -> torch.Tensor:
        angle = torch.deg2rad(torch.tensor(degrees))
        return Hog(8, 1, 9, binning).histograms((x * angle.cos() + y * angle.sin()).expand(1, 3, 16, 24) / 40)

    for edge in (20.0, 180.0):  # where one bin ends and the next begins
        jump = {b: float((tilted(edge - 0.01, b) - tilted(edge + 0.01, b)).abs().max()) for b in ("hard", "linear")}
        assert jump["linear"] < 1e-3 < jump["hard"]


def test_gradients_are_right_and_finite_where_nothing_is_drawn() -> None:
    image = drawn(3, 8, 12)[None].requires_grad_()
    assert torch.autograd.gradcheck(Hog(4, 2, 5, "linear"), (image,))
    blank = torch.full((1, 3, 16, 24), 0.5, requires_grad=True)
    for binning in ("hard", "linear"):
        (slope,) = torch.autograd.grad(Hog(8, 2, 9, binning)(blank).sum(), blank)
        assert slope.isfinite().all()
        assert (Hog(8, 2, 9, binning)(blank) == 0).all()


def test_it_is_a_network_like_others() -> None:
    keys = OmegaConf.load(configuration.folder() / "model" / "hog.yaml")
    network = instantiate(keys, classes=None, _convert_="all")
    images = torch.rand(2, 3, 96, 96)
    scores = network(images)
    assert scores.shape == (2, len(network.classes)) == (2, 81 * 100)
    assert torch.equal(codes(network, images, ["hog"])["hog"].flatten(1), scores)
    with pytest.raises(ValueError, match="24x24 pixels or more"):
        network(torch.rand(1, 3, 20, 96))
    with pytest.raises(ValueError, match="binning hard or linear"):
        Hog(binning="cubic")
