"""Images beside their maps."""

import numpy as np
import pytest

from deepinside.plots.maps import beside


@pytest.mark.parametrize("size", [(200, 300), (300, 200), (100, 400)])
@pytest.mark.parametrize("scale", [1.0, 1e-6])  # a small one has its power of ten beside the scale
def test_the_image_is_level_with_its_maps(size: tuple[int, int], scale: float) -> None:
    random = np.random.default_rng(0)
    maps = {name: scale * random.random(size) for name in ("saliency", "guided")}
    figure = beside(random.random((*size, 3)), maps, "cup (80%)")
    figure.draw_without_rendering()
    places = [axis.get_window_extent() for axis in figure.axes[:3]]
    np.testing.assert_allclose([one.y0 for one in places], places[0].y0, atol=0.5)
    np.testing.assert_allclose([one.y1 for one in places], places[0].y1, atol=0.5)
