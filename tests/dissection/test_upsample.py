import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.interpolate import RectBivariateSpline
from torch.nn.functional import interpolate

from deepinside.dissection.upsample import dense, grid, hits
from deepinside.probe import ReceptiveField

CONV5 = ReceptiveField((163, 163), (16, 16), (-64, -64))
POINT = ReceptiveField((1, 1), (1, 1), (0, 0))


def maps(n, u, h, w, seed=0):
    return torch.randn(n, u, h, w, generator=torch.Generator().manual_seed(seed))


def as_set(found):
    return set(zip(*(part.tolist() for part in found), strict=True))


def densely(values, thresholds, made):
    image, unit, pixel = (dense(values, made) > thresholds[:, None, None]).flatten(2).nonzero(as_tuple=True)
    return as_set((image, unit, pixel))


def test_resize_is_torchs():
    values = maps(2, 3, 7, 5)
    made = grid((7, 5), (31, 44), (62, 88), POINT, "resize")
    theirs = interpolate(values.double(), (31, 44), mode="bilinear", align_corners=False)
    assert (dense(values, made) - theirs).abs().max() < 1e-12


def test_resize_is_pillows():
    values = maps(1, 1, 13, 11)
    made = grid((13, 11), (112, 90), (224, 180), POINT, "resize")
    theirs = np.asarray(Image.fromarray(values[0, 0].numpy()).resize((90, 112), Image.Resampling.BILINEAR))
    assert np.abs(dense(values, made)[0, 0].numpy() - theirs).max() < 1e-5


@pytest.mark.parametrize(
    ("sides", "target", "image", "field"),
    [
        ((13, 13), (113, 113), (227, 227), CONV5),
        ((14, 14), (112, 112), (224, 224), ReceptiveField((196, 196), (16, 16), (-90, -90))),
        ((12, 15), (110, 130), (220, 260), CONV5),
    ],
)
def test_anchored_at_receptive_fields_is_the_papers_code(sides, target, image, field):
    values = maps(1, 1, *sides)
    knots = [
        np.arange((s // 2 + o) // 2, (s // 2 + o + a * t) // 2, t // 2)[:a]
        for o, s, t, a in zip(field.offset, field.size, field.stride, sides, strict=True)
    ]
    theirs = RectBivariateSpline(*knots, values[0, 0].double().numpy(), kx=1, ky=1)(*map(np.arange, target))
    made = grid(sides, target, image, field, "receptive_field")
    assert np.abs(dense(values, made)[0, 0].numpy() - theirs).max() < 1e-12


@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.01, 0.2, 0.7, 1.0]),
    st.booleans(),
)
def test_hits_are_the_dense_masks(seed, sides, target, reduction, share, anchored):
    values = maps(2, 3, *sides, seed=seed)
    image = tuple(reduction * side for side in target)
    field = ReceptiveField((5, 3), (4, 3), (-seed % 5, -2))
    made = grid(sides, target, image, field, "receptive_field" if anchored else "resize")
    thresholds = torch.from_numpy(np.quantile(values.transpose(0, 1).reshape(3, -1).double().numpy(), 1 - share, 1))
    assert as_set(hits(values, thresholds, made)) == densely(values, thresholds, made)


@given(st.integers(0, 10_000))
def test_ties_are_not_hits(seed):
    # whole numbers and steps of 8 pixels: every sum is exact, and many values equal the threshold
    values = maps(2, 2, 4, 3, seed=seed).round()
    made = grid((4, 3), (32, 24), (32, 24), ReceptiveField((9, 9), (8, 8), (0, 0)), "receptive_field")
    thresholds = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert as_set(hits(values, thresholds, made)) == densely(values, thresholds, made)
    assert not len(hits(torch.ones(1, 2, 4, 3), torch.ones(2).double(), made).unit)


def test_a_threshold_between_two_single_precision_numbers():
    value = torch.tensor(1.0)
    above = torch.nextafter(value, torch.tensor(2.0))
    between = 0.25 * value.double() + 0.75 * above.double()  # rounds up to what exceeds it
    values = torch.stack([value, above]).view(1, 2, 1, 1)
    made = grid((1, 1), (2, 2), (2, 2), POINT, "resize")
    assert hits(values, between.repeat(2), made).unit.tolist() == [1, 1, 1, 1]
    assert hits(values, above.double().repeat(2), made).unit.tolist() == []


def test_blocks_join(monkeypatch):
    values, thresholds = maps(3, 4, 9, 8), torch.full((4,), 1.5, dtype=torch.float64)
    made = grid((9, 8), (72, 64), (144, 128), POINT, "resize")
    whole = as_set(hits(values, thresholds, made))
    monkeypatch.setattr("deepinside.dissection.upsample._BLOCK", 300)
    assert as_set(hits(values, thresholds, made)) == whole
    assert whole
