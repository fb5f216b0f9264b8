"""Images are (h, w, 3); pixels are counted row by row."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from skimage import data, transform

from deepinside.localisation import color_model
from deepinside.localisation.graph_cut import Links, contrast_links, minimum_cut

PRECISION = 1000


def slow_links(image, gamma):
    """Every pair of 8-neighbours in plain loops: {(p, q): weight}."""
    h, w = image.shape[:2]
    pairs = {}
    for y, x in itertools.product(range(h), range(w)):
        for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
            if y + dy < h and 0 <= x + dx < w:
                square = sum(
                    (float(a) - float(b)) ** 2 for a, b in zip(image[y, x], image[y + dy, x + dx], strict=True)
                )
                pairs[y * w + x, (y + dy) * w + x + dx] = (square, math.hypot(dy, dx))
    mean = sum(square for square, _ in pairs.values()) / len(pairs)
    return {pair: gamma * math.exp(-square / (2 * mean)) / far for pair, (square, far) in pairs.items()}


def energy(mask, unaries, links):
    """E(mask): what the cut minimises."""
    separated = mask.ravel()[links.first] != mask.ravel()[links.second]
    return np.where(mask, unaries[1], unaries[0]).sum() + links.weight[separated].sum()


def scipys_least_energy(unaries, links):
    """The least energy by scipy's maximum flow on the graph of whole-number capacities, from plain loops."""
    n = unaries[0].size
    capacity = {}
    for p, q, weight in zip(*links, strict=True):
        capacity[p, q] = capacity[q, p] = round(float(weight) * PRECISION)
    for p, gain in enumerate((unaries[0] - unaries[1]).ravel()):
        pair = (n, p) if gain > 0 else (p, n + 1)
        capacity[pair] = round(abs(float(gain)) * PRECISION)
    rows, columns = zip(*capacity, strict=True)
    graph = csr_array((np.array(list(capacity.values()), dtype=np.int32), (rows, columns)), shape=(n + 2, n + 2))
    return maximum_flow(graph, n, n + 1).flow_value / PRECISION + np.minimum(*unaries).sum()


def assert_least(unaries, links):
    rounding = 0.5 / PRECISION * (unaries[0].size + len(links.weight))
    found = energy(minimum_cut(unaries, links), unaries, links)
    assert found == pytest.approx(scipys_least_energy(unaries, links), abs=2 * rounding)


def test_links_against_plain_loops():
    image = np.random.default_rng(0).uniform(size=(4, 6, 3))
    links = contrast_links(image, gamma=50)
    found = {tuple(sorted((p, q))): w for p, q, w in zip(*(part.tolist() for part in links), strict=True)}
    expected = {tuple(sorted(pair)): weight for pair, weight in slow_links(image, 50).items()}
    assert found.keys() == expected.keys()
    assert len(links.weight) == len(expected) == 4 * 5 + 3 * 6 + 2 * 3 * 5  # right, down, both diagonals
    assert all(found[pair] == pytest.approx(expected[pair]) for pair in expected)


def test_links_do_not_depend_on_the_scale_of_the_colours():
    image = np.random.default_rng(0).uniform(size=(3, 5, 3))
    assert contrast_links(image * 255).weight == pytest.approx(contrast_links(image).weight)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1), (2, 3)])
def test_small_pictures_of_one_colour_have_links_of_full_weight(size):
    links = contrast_links(np.full((*size, 3), 0.3), gamma=2)
    h, w = size
    assert len(links.weight) == h * (w - 1) + (h - 1) * w + 2 * (h - 1) * (w - 1)
    assert set(links.weight.tolist()) <= {2.0, 2 / math.sqrt(2)}


def test_a_cut_by_hand():
    """Three pixels in a row, parting the first two costs 1, the last two 3; the middle one saves 2 as background."""
    links = Links(np.array([0, 1]), np.array([1, 2]), np.array([1.0, 3.0]))
    unaries = np.array([[[9.0, 0, 0]], [[0, 2.0, 0]]])  # background, foreground
    # f b b: 0 + 0 + 1 = 1, the least
    assert minimum_cut(unaries, links).tolist() == [[True, False, False]]
    assert energy(np.array([[True, False, False]]), unaries, links) == 1
    # If the last is foreground: f f f costs 2, f b f costs 4.
    assert minimum_cut(unaries, links, foreground=np.array([[False, False, True]])).tolist() == [[True, True, True]]


def test_seeds_keep_their_side_whatever_it_costs():
    links = contrast_links(np.random.default_rng(0).uniform(size=(5, 4, 3)))
    unaries = np.zeros((2, 5, 4))
    unaries[1] = 1e4
    front, back = np.zeros((5, 4), bool), np.zeros((5, 4), bool)
    front[2, 1] = front[0, 0] = back[0, 0] = back[4, 3] = True
    mask = minimum_cut(unaries, links, front, back)
    assert mask[2, 1]
    assert not mask[0, 0]  # asked for on both sides
    assert not mask[4, 3]
    unaries = unaries[::-1]
    assert not minimum_cut(unaries, links, front, back)[4, 3]


def test_degenerate_pictures_have_a_defined_answer():
    links = contrast_links(np.full((3, 4, 3), 0.5))
    none, every = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    flat = np.zeros((2, 3, 4))
    assert not minimum_cut(flat, links).any()  # no reason for anything: the fewest foreground pixels
    assert not minimum_cut(flat, links, none, every).any()
    assert minimum_cut(flat, links, every, none).all()
    assert minimum_cut(flat + np.array([1, 0])[:, None, None], links).all()
    assert not minimum_cut(flat + np.array([0, 1])[:, None, None], links).any()
    assert minimum_cut(np.array([[[1.0]], [[0.0]]]), contrast_links(np.zeros((1, 1, 3)))).tolist() == [[True]]


def test_of_several_least_masks_the_one_with_the_fewest_pixels():
    """Two pixels, each saves as much as parting them costs: {}, no; {first} costs 1, {both} costs 1."""
    links = Links(np.array([0]), np.array([1]), np.array([1.0]))
    unaries = np.array([[[5.0, 0]], [[0, 1.0]]])
    assert minimum_cut(unaries, links).tolist() == [[True, False]]


def test_infinite_costs_are_refused():
    links = contrast_links(np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="finite"):
        minimum_cut(np.array([[[np.inf, 0]], [[0, 0]]]), links)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 9), st.sampled_from([0.01, 1.0, 50.0]))
def test_the_least_energy_on_random_pictures(seed, h, w, gamma):
    random = np.random.default_rng(seed)
    assert_least(random.normal(scale=3, size=(2, h, w)), contrast_links(random.uniform(size=(h, w, 3)), gamma))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 12))
def test_the_least_energy_on_random_graphs(seed, n):
    random = np.random.default_rng(seed)
    first, second = np.triu_indices(n, 1)
    kept = random.uniform(size=len(first)) < 0.5
    assert_least(random.normal(size=(2, 1, n)), Links(first[kept], second[kept], random.exponential(size=kept.sum())))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_no_other_mask_of_a_tiny_picture_costs_less(seed):
    random = np.random.default_rng(seed)
    unaries, links = random.normal(size=(2, 2, 4)), contrast_links(random.uniform(size=(2, 4, 3)), 0.5)
    masks = (np.array(bits).reshape(2, 4) for bits in itertools.product([False, True], repeat=8))
    least = min(energy(mask, unaries, links) for mask in masks)
    assert energy(minimum_cut(unaries, links), unaries, links) == pytest.approx(least, abs=0.05)


def test_the_least_energy_on_a_photograph():
    image = transform.resize(data.chelsea(), (60, 90), anti_aliasing=True)
    inside = np.zeros((60, 90), bool)
    inside[20:45, 30:60] = True
    unaries = color_model.unaries(image, np.stack([~inside, inside]))
    assert_least(unaries, contrast_links(image))
