import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepinside.dissection.thresholds import TopImages


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 5), st.integers(1, 4))
def test_highest_peaks_first_and_of_equal_ones_the_lower_number(seed, count, kept, split):
    random = np.random.default_rng(seed)
    peaks, order = random.integers(0, 3, (count, 2)), random.permutation(count)
    top = TopImages(2, kept)
    for start in range(0, count, split):
        part = order[start : start + split]
        top.add(torch.from_numpy(peaks[part]).float(), torch.from_numpy(part))
    for unit in range(2):
        expected = sorted(range(count), key=lambda i: (-peaks[i, unit], i))[:kept]
        assert top.image[unit].tolist() == expected
        assert top.peak[unit].tolist() == [peaks[i, unit] for i in expected]
