"""Synthesised images as they are drawn."""

import numpy as np

from deepinside.plots.synthesis import visible


def test_faint_pictures_get_the_contrast_that_it_takes_to_see_them() -> None:
    random = np.random.default_rng(0)
    noise = random.standard_normal((32, 32, 3))
    clear, faint, flat = 0.5 + 0.1 * noise, 0.4 + 0.002 * noise, np.full((32, 32, 3), 0.4)
    for whole in (clear, flat):
        shown, factor = visible(whole)
        assert factor == 1
        assert shown is whole
    shown, factor = visible(faint)
    assert 60 < factor < 120
    np.testing.assert_allclose(shown.mean(), faint.mean(), atol=0.02)
    assert 0.1 < shown.std() < 0.2
    assert shown.min() >= 0
    assert shown.max() <= 1
