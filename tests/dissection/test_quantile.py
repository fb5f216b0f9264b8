import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepinside.dissection.quantile import TopQuantile, retained


def stream(maps, quantile, split, positions=None):
    top = TopQuantile(maps.shape[1], quantile, positions or maps[:, 0].numel())
    for part in maps.split(split):
        top.add(part)
    return top


def numpys(maps, quantile):
    units = maps.shape[1]
    return np.quantile(maps.transpose(0, 1).reshape(units, -1).double().numpy(), 1 - quantile, axis=1)


def test_by_hand():
    # one unit, 2 images of 1x5: 0..9; index 9 * 0.75 = 6.75 of the rising values: 6 + 0.75
    maps = torch.arange(10.0).view(2, 1, 1, 5)
    assert stream(maps, 0.25, 1).thresholds() == pytest.approx([6.75], abs=0)


@given(
    st.integers(1, 9),
    st.integers(1, 4),
    st.sampled_from([(1, 1), (3, 2), (5, 7)]),
    st.sampled_from([0.0, 0.005, 0.1, 0.5, 0.93]),
    st.integers(0, 99),
    st.booleans(),
)
def test_equals_numpy_to_the_last_bit(images, units, sides, quantile, seed, dead):
    random = torch.Generator().manual_seed(seed)
    maps = torch.randn(images, units, *sides, generator=random)
    if dead:
        maps = maps.relu()
        maps[:, 0] = 0
    for split in (1, 4):
        assert (stream(maps, quantile, split).thresholds() == numpys(maps, quantile)).all()


@pytest.mark.parametrize("rising", [True, False, None])
def test_forgetting_is_exact_where_the_buffer_overflows(rising):
    # 3 * 60,000 positions, of which it holds 900 and a slack of 4,096: it selects many times
    random = np.random.default_rng(3)
    values = random.standard_normal((2, 180_000)).astype(np.float32)
    if rising is not None:
        values = np.sort(values, axis=1)[:, :: 1 if rising else -1]
    maps = torch.from_numpy(values.copy()).view(2, 90, 40, 50).transpose(0, 1)
    top = stream(maps, 0.005, 7)
    assert top._buffer.shape[1] < 5_100
    assert (top.thresholds() == np.quantile(values.astype(np.float64), 0.995, axis=1)).all()


def test_an_upper_bound_of_the_positions_is_enough():
    maps = torch.randn(6, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    assert (stream(maps, 0.1, 2, positions=1000).thresholds() == numpys(maps, 0.1)).all()


@given(st.integers(1, 2000), st.sampled_from([0.0, 0.005, 0.02, 0.3]))
def test_what_is_kept_never_shrinks(positions, quantile):
    assert 1 <= retained(positions, quantile) <= retained(positions + 1, quantile) <= positions + 1
    assert retained(positions, quantile) <= quantile * positions + 2  # the arithmetic of the memory


@pytest.mark.parametrize("positions", [24_000, 400])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_what_one_saw_another_takes(after, positions):
    """Two accumulators that see different images, in any order, agree with one that sees all of them."""
    sides = (30, 20) if positions == 24_000 else (5, 2)
    maps = torch.randn(40, 3, *sides, generator=torch.Generator().manual_seed(1)).relu()
    one, other = (TopQuantile(3, 0.005, positions) for _ in range(2))
    for index, part in enumerate(maps.split(10)):
        here, there = (one, other) if index < after else (other, one)
        there.take(here.largest(part))
        here.add(part)
    for top in (one, other):
        assert (top.thresholds() == numpys(maps, 0.005)).all()


def test_only_what_matters_is_passed_on():
    top = TopQuantile(1, 0.1, 40)  # keeps 5
    first = top.largest(torch.arange(10.0).view(1, 1, 2, 5))
    assert (first.counts.tolist(), sorted(first.values.tolist()), first.seen) == ([5], [5, 6, 7, 8, 9], 10)
    top.add(torch.arange(10.0).view(1, 1, 2, 5))
    top._select()
    second = top.largest(torch.tensor([[[[4.0, 5, 6, 20]]]]))
    assert (second.counts.tolist(), sorted(second.values.tolist()), second.seen) == ([2], [6, 20], 4)


def test_half_precision_and_double_precision():
    maps = torch.randn(4, 2, 9, 8, generator=torch.Generator().manual_seed(2))
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert (stream(maps.to(dtype), 0.1, 3).thresholds() == numpys(maps.to(dtype), 0.1)).all()


def test_refuses():
    top = TopQuantile(2, 0.1, 8)
    with pytest.raises(ValueError, match="no activation"):
        top.thresholds()
    with pytest.raises(ValueError, match=r"\(n, 2, h, w\)"):
        top.add(torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match="NaN"):
        top.add(torch.full((1, 2, 2, 2), torch.nan))
    with pytest.raises(ValueError, match="total number"):
        top.add(torch.zeros(3, 2, 2, 2))
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        TopQuantile(2, 1.0, 8)
    with pytest.raises(ValueError, match="position"):
        TopQuantile(2, 0.1, 0)
