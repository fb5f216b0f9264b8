import numpy as np
import pytest

from deepinside.localisation import color_model


def test_one_gaussian_by_hand():
    """With one component EM ends at mean and covariance; -log N(z) = (d' S^-1 d + log det S + 3 log 2 pi) / 2."""
    colours = np.random.default_rng(0).uniform(size=(400, 3)) @ np.array([[0.5, 0.1, 0], [0, 0.3, 0.2], [0, 0, 0.4]])
    model = color_model.mixture(colours, components=1, regularisation=1e-4)
    covariance = np.cov(colours.T, bias=True) + 1e-4 * np.eye(3)
    z = np.array([0.2, 0.9, 0.4])
    d = z - colours.mean(axis=0)
    expected = (d @ np.linalg.inv(covariance) @ d + np.log(np.linalg.det(covariance)) + 3 * np.log(2 * np.pi)) / 2
    assert -model.score_samples(z[None])[0] == pytest.approx(expected, rel=1e-9)


def test_two_clouds_are_found():
    random = np.random.default_rng(1)
    red, blue = random.normal([0.8, 0.2, 0.2], 0.02, (300, 3)), random.normal([0.1, 0.2, 0.7], 0.02, (100, 3))
    model = color_model.mixture(np.concatenate([red, blue]), components=2)
    order = np.argsort(-model.weights_)
    assert model.weights_[order] == pytest.approx([0.75, 0.25], abs=1e-3)
    assert model.means_[order] == pytest.approx(np.array([[0.8, 0.2, 0.2], [0.1, 0.2, 0.7]]), abs=0.01)


def test_the_cost_is_low_where_the_colour_is_that_of_the_seeds():
    image = np.zeros((4, 6, 3))
    image[:, 3:] = [0.9, 0.1, 0.2]
    seeds = np.zeros((4, 6), bool)
    seeds[1, 4] = seeds[2, 5] = True
    cost = color_model.unaries(image, seeds)
    assert cost.shape == (4, 6)
    assert cost[:, 3:].max() < cost[:, :3].min()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_fewer_colours_than_components_have_a_finite_answer(count):
    image = np.full((5, 3, 3), 0.5)
    image[0, 0] = 0.1
    seeds = np.zeros((5, 3), bool)
    seeds.ravel()[:count] = True
    assert np.isfinite(color_model.unaries(image, seeds)).all()


def test_a_seed_of_no_pixels_is_refused():
    with pytest.raises(ValueError, match="at least one seed pixel"):
        color_model.unaries(np.zeros((2, 3, 3)), np.zeros((2, 3), bool))


def test_the_same_seed_gives_the_same_model_and_touches_no_global_state():
    colours = np.random.default_rng(2).uniform(size=(3000, 3))
    before = np.random.get_state()[1].tolist()  # ruff: ignore[numpy-legacy-random] - the global state is what is looked at
    first, again, other = (color_model.mixture(colours, seed=seed) for seed in (3, 3, 4))
    assert np.random.get_state()[1].tolist() == before  # ruff: ignore[numpy-legacy-random]
    assert np.array_equal(first.means_, again.means_)
    assert not np.array_equal(first.means_, other.means_)


def test_no_more_than_the_samples_are_fitted():
    """A cloud and a few outliers: 2 of 20,000 pixels hardly ever survive the draw of 50."""
    colours = np.full((20000, 3), 0.25)
    colours[:2] = 1.0
    model = color_model.mixture(colours, components=2, samples=50)
    assert model.n_components == 1
