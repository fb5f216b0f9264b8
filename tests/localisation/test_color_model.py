"""Colour models beside scikit-learn's, and by hand. Images are (h, w, 3)."""

import warnings

import numpy as np
import pytest
import torch
from skimage import data, transform
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from deepinside.localisation import color_model, segment
from deepinside.localisation.maps import scene
from deepinside.localisation.settings import Settings


def fitted(*colours, **options):
    return color_model.mixtures([torch.from_numpy(own) for own in colours], **options)


def scikit_learns(colours, components=5, samples=2000, seed=0):
    colours = colours.astype(np.float64)
    if len(colours) > samples:
        colours = colours[np.random.default_rng(seed).choice(len(colours), samples, replace=False)]
    count = min(components, len(np.unique(colours, axis=0)))
    if len(colours) == 1:
        colours = np.repeat(colours, 2, axis=0)  # it requires two
    model = GaussianMixture(count, reg_covar=1e-4, max_iter=20, init_params="random_from_data", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(colours)


def photograph(name, side=112):
    image = getattr(data, name)()[..., :3]
    size = tuple(round(n * side / min(image.shape[:2])) for n in image.shape[:2])
    return transform.resize(image, size, anti_aliasing=True).astype(np.float32)


def seeded(name, classes):
    """A photograph with maps of many small peaks about a place, another for each class, and its seeds by side."""
    image, random = photograph(name), np.random.default_rng(len(name))
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] / np.array(image.shape[:2])[:, None, None]
    places = random.uniform(0.3, 0.7, (classes, 2))
    bumps = np.stack([np.exp(-((y - v) ** 2 + (x - u) ** 2) / 0.06) for v, u in places])
    maps = (bumps * random.exponential(size=bumps.shape)).astype(np.float32)
    covered = np.ones(image.shape[:2], bool)
    sides = [side for map_ in maps for side in segment.seeds(map_, covered, 0.95, 0.30)]
    return scene({"saliency": maps}, covered, image.transpose(2, 0, 1).copy()), np.stack(sides)


def test_mixtures_of_any_size_are_scikit_learns():
    """In one call: seeds of a photograph, 2,000 and more samples, one pixel, one, two and three colours, few pixels."""
    shown, sides = seeded("chelsea", 3)
    random = np.random.default_rng(0)
    pixels = shown.picture.reshape(-1, 3)
    palette = random.uniform(size=(3, 3)).astype(np.float32)
    sets = [*(shown.picture[side] for side in sides), pixels[:2000], pixels, pixels[:1], pixels[:4], palette[:2]]
    sets += [np.repeat(palette[:1], 300, axis=0), palette[random.integers(0, 3, 50)]]
    theirs = [scikit_learns(own) for own in sets]
    assert {model.n_components for model in theirs} >= {1, 2, 3, 5}
    assert {model.converged_ for model in theirs} == {True, False}
    ours = fitted(*sets)
    costs = ours.costs(torch.from_numpy(pixels)).numpy()
    for number, model in enumerate(theirs):
        count = model.n_components
        assert ours.weights[number, count:].tolist() == [0] * (5 - count)
        assert ours.weights[number, :count].numpy() == pytest.approx(model.weights_, abs=1e-7)
        assert ours.means[number, :count].numpy() == pytest.approx(model.means_, abs=1e-7)
        assert ours.covariances[number, :count].numpy() == pytest.approx(model.covariances_, abs=1e-8)
        assert costs[number] == pytest.approx(-model.score_samples(pixels.astype(np.float64)), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("options", [{"components": 1}, {"components": 3, "samples": 300, "seed": 4}])
def test_options_are_scikit_learns(options):
    shown, sides = seeded("coffee", 1)
    costs = color_model.unaries(shown.picture, sides, **options)
    for side, cost in zip(sides, costs, strict=True):
        model = scikit_learns(shown.picture[side], **options)
        expected = -model.score_samples(shown.picture.reshape(-1, 3).astype(np.float64))
        assert cost.ravel() == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut", "rocket"])
def test_masks_are_those_of_scikit_learns_mixtures(name, monkeypatch):
    def unaries(image, seeds, *, where, **options):
        models = [scikit_learns(image[side], **options) for side in seeds]
        every = [-model.score_samples(image.reshape(-1, 3).astype(np.float64)) for model in models]
        return np.where(where, np.reshape(every, seeds.shape), 0)

    shown, _ = seeded(name, 3)
    ours = segment.segment(shown, Settings())
    monkeypatch.setattr(color_model, "unaries", unaries)
    theirs = segment.segment(shown, Settings())
    for mine, other in zip(ours, theirs, strict=True):
        assert np.array_equal(mine.mask, other.mask)
        assert mine.foreground.sum() < mine.mask.sum() < mine.mask.size


def test_one_gaussian_by_hand():
    """With one component EM ends at mean and covariance; -log N(z) = (d' S^-1 d + log det S + 3 log 2 pi) / 2."""
    colours = np.random.default_rng(0).uniform(size=(400, 3)) @ np.array([[0.5, 0.1, 0], [0, 0.3, 0.2], [0, 0, 0.4]])
    model = fitted(colours, components=1, regularisation=1e-4)
    covariance = np.cov(colours.T, bias=True) + 1e-4 * np.eye(3)
    z = np.array([0.2, 0.9, 0.4])
    d = z - colours.mean(axis=0)
    expected = (d @ np.linalg.inv(covariance) @ d + np.log(np.linalg.det(covariance)) + 3 * np.log(2 * np.pi)) / 2
    assert model.costs(torch.from_numpy(z)[None]).item() == pytest.approx(expected, rel=1e-9)


def test_two_clouds_are_found():
    random = np.random.default_rng(1)
    red, blue = random.normal([0.8, 0.2, 0.2], 0.02, (300, 3)), random.normal([0.1, 0.2, 0.7], 0.02, (100, 3))
    model = fitted(np.concatenate([red, blue]), components=2)
    order = model.weights[0].argsort(descending=True)
    assert model.weights[0, order].numpy() == pytest.approx([0.75, 0.25], abs=1e-3)
    assert model.means[0, order].numpy() == pytest.approx(np.array([[0.8, 0.2, 0.2], [0.1, 0.2, 0.7]]), abs=0.01)


def test_the_cost_is_low_where_the_colour_is_that_of_the_seeds():
    image = np.zeros((4, 6, 3))
    image[:, 3:] = [0.9, 0.1, 0.2]
    seeds = np.zeros((2, 4, 6), bool)
    seeds[0, 1, 4] = seeds[0, 2, 5] = seeds[1, 0, 0] = True
    there, elsewhere = color_model.unaries(image, seeds)
    assert there.shape == (4, 6)
    assert there[:, 3:].max() < there[:, :3].min()
    assert elsewhere[:, :3].max() < elsewhere[:, 3:].min()


def test_only_what_is_requested_is_evaluated():
    shown, sides = seeded("chelsea", 1)
    where = np.zeros_like(sides)
    where[0, :40], where[1, 30:, 5] = True, True
    every, some = color_model.unaries(shown.picture, sides), color_model.unaries(shown.picture, sides, where=where)
    assert some == pytest.approx(np.where(where, every, 0), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_fewer_colours_than_components_have_a_finite_cost(count):
    image = np.full((5, 3, 3), 0.5)
    image[0, 0] = 0.1
    seeds = np.zeros((1, 5, 3), bool)
    seeds.ravel()[:count] = True
    assert np.isfinite(color_model.unaries(image, seeds)).all()


def test_a_seed_of_no_pixels_is_refused():
    with pytest.raises(ValueError, match="at least one seed pixel"):
        color_model.unaries(np.zeros((2, 3, 3)), np.zeros((1, 2, 3), bool))


def test_the_same_seed_gives_the_same_model_and_touches_no_global_state():
    colours = np.random.default_rng(2).uniform(size=(3000, 3))
    before = np.random.get_state()[1].tolist()  # ruff: ignore[numpy-legacy-random] - the global state is what is looked at
    first, again, other = (fitted(colours, seed=seed) for seed in (3, 3, 4))
    assert np.random.get_state()[1].tolist() == before  # ruff: ignore[numpy-legacy-random]
    assert torch.equal(first.means, again.means)
    assert not torch.equal(first.means, other.means)


def test_no_more_than_the_samples_are_fitted():
    """A cloud and a few outliers: 2 of 20,000 pixels hardly ever survive the draw of 50."""
    colours = np.full((20000, 3), 0.25)
    colours[:2] = 1.0
    model = fitted(colours, components=2, samples=50)
    assert (model.weights > 0).sum() == 1


def test_everything_is_on_the_device_of_the_colours():
    """What is created elsewhere is, in this block, on a device that has no values."""
    colours = [torch.rand(number, 3) for number in (40, 3000)]
    with torch.device("meta"):
        models = color_model.mixtures(colours)
        costs = models.costs(colours[0])
    assert {values.device.type for values in (*models, costs)} == {"cpu"}
