"""Colour models: Gaussian mixtures of the RGB of seed pixels, and the cost of each pixel under them.

All mixtures of an image are fitted at once, each as by scikit-learn's GaussianMixture. With u = (1, r, g, b) and M the
mean of u u^T over the pixels of a Gaussian, log N(z) = (1 - u^T M^-1 u - log det M - 3 log 2 pi) / 2. Both steps of EM
are therefore products of small matrices with the ten different entries of u u^T of all pixels.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

_ROWS, _COLUMNS = torch.triu_indices(4, 4)  # of the ten entries
_PLACES = torch.tensor([[0, 1, 2, 3], [1, 4, 5, 6], [2, 5, 7, 8], [3, 6, 8, 9]])  # which entry is where in the matrix
_LEAST = 10 * torch.finfo(torch.float64).eps  # added to a component's number of pixels, which may become 0
_NEVER = -1e300  # log weight of a component that is not there: finite, since the padding's zeros are multiplied by it
_AT_ONCE = 8192  # pixels, so that what is computed for them stays in the cache


class Mixtures(NamedTuple):
    """m Gaussian mixtures with full covariances, sum_k pi_k N(z; mu_k, S_k), in double precision.

    Attributes:
        weights: (m, k); 0 where a mixture has fewer components than others.
        moments: M, (m, k, 4, 4), with regularised covariances.
    """

    weights: Float[Tensor, "m k"]
    moments: Float[Tensor, "m k 4 4"]

    @property
    def means(self) -> Float[Tensor, "m k 3"]:
        """RGB, (m, k, 3)."""
        return self.moments[..., 0, 1:]

    @property
    def covariances(self) -> Float[Tensor, "m k 3 3"]:
        """With the regularisation, (m, k, 3, 3)."""
        return self.moments[..., 1:, 1:] - self.means[..., None] * self.means[..., None, :]

    def costs(self, colours: Float[Tensor, "p 3"]) -> Float[Tensor, "m p"]:
        """-log p(colour | mixture).

        Args:
            colours: RGB, one row per pixel, on the device of the mixtures.

        Returns:
            (m, p), in nats.
        """
        forms = _forms(self)
        return torch.cat([-torch.logsumexp(forms @ _entries(part), dim=1) for part in colours.split(_AT_ONCE)], dim=1)


def mixtures(
    colours: Sequence[Float[Tensor, "_ 3"]],
    *,
    components: int = 5,
    samples: int = 2000,
    regularisation: float = 1e-4,
    iterations: int = 20,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Mixtures:
    """Gaussian mixtures fitted by EM, one to each set of colours.

    Args:
        colours: RGB in [0, 1], one row per seed pixel, at least one in each set.
        components: number of Gaussians; fewer if there are fewer distinct colours.
        samples: highest number of seed pixels, sampled without replacement.
        regularisation: added to the diagonal of every covariance, so that seeds of one colour have a finite density.
        iterations: of EM, at most.
        tolerance: a mixture is finished when its mean log-likelihood changes by less.
        seed: of the sampling and the initialisation, for each set anew.

    Returns:
        The fitted mixtures, on the device of the colours.

    Raises:
        ValueError: if a set has no pixel.

    Source: Simonyan et al. 2013, sec. 3.2 (mixtures); Rother et al. 2004, sec. 3.1 (5 components, full covariances).
    Deviation: seeds are subsampled; fitting all of them costs six times as much and hardly changes the mask.
    """
    if not all(map(len, colours)):
        raise ValueError("expected at least one seed pixel, got none: lower the quantile or check the map")
    sets = [own[_sampled(len(own), samples, seed)] if len(own) > samples else own for own in colours]
    size = len(sets), len(_ROWS), max(map(len, sets))
    entries = torch.zeros(size, dtype=torch.float64, device=sets[0].device)  # padded by pixels that add to no sum
    sums = entries.new_zeros(len(sets), components, len(_ROWS))
    for number, own in enumerate(sets):
        entries[number, :, : len(own)] = _entries(own)
        starts = _started(len(own), _distinct(own, components), seed)  # a pixel for each component
        sums[number, : len(starts)] = entries[number][:, starts].T
    return _fitted(entries, sums, regularisation, iterations, tolerance)


def unaries(
    image: Float[ndarray, "h w 3"],
    seeds: Bool[ndarray, "m h w"],
    *,
    components: int = 5,
    samples: int = 2000,
    seed: int = 0,
    where: Bool[ndarray, "m h w"] | None = None,
) -> Float[ndarray, "m h w"]:
    """The cost of assigning each pixel to the side of some seeds: -log p(colour | mixture of the seeds).

    Args:
        image: RGB in [0, 1], (h, w, 3).
        seeds: the pixels of each side, to which its mixture is fitted, at least one.
        components: of a mixture.
        samples: seed pixels used for a mixture, at most.
        seed: of the sampling and the initialisation.
        where: pixels to evaluate for each side; None for all.

    Returns:
        (m, h, w), in nats; low where the colour is likely, 0 at pixels that are not evaluated.

    Source: Simonyan et al. 2013, sec. 3.2; Rother et al. 2004, eq. 8.
    """
    pixels = torch.tensor(image, dtype=torch.float64).flatten(0, 1)
    places = [np.flatnonzero(side) for side in seeds]
    models = mixtures([pixels[place] for place in places], components=components, samples=samples, seed=seed)
    costs = np.zeros((len(seeds), len(pixels)))
    for number, wanted in enumerate(np.ones_like(seeds) if where is None else where):
        model, place = Mixtures(*(values[number, None] for values in models)), np.flatnonzero(wanted)
        costs[number, place] = model.costs(pixels[place])
    return costs.reshape(seeds.shape)


@lru_cache
def _sampled(count: int, samples: int, seed: int) -> Int[Tensor, " s"]:
    return torch.from_numpy(np.random.default_rng(seed).choice(count, samples, replace=False))


@lru_cache
def _started(count: int, components: int, seed: int) -> Int[Tensor, " k"]:
    # as scikit-learn does with init_params="random_from_data" and this random_state
    return torch.from_numpy(np.random.RandomState(seed).choice(count, components, replace=False))


def _distinct(colours: Float[Tensor, "p 3"], most: int) -> int:
    # The number of distinct colours, counted up to `most`.
    found: set[tuple[float, ...]] = set()
    for colour in colours.cpu().numpy():
        found.add(tuple(colour))
        if len(found) == most:
            break
    return len(found)


def _entries(colours: Float[Tensor, "p 3"]) -> Float[Tensor, "10 p"]:
    u = torch.cat([colours.new_ones(1, len(colours)), colours.T]).double()
    return torch.cat([u[row] * u[row:] for row in range(len(u))])


def _fitted(
    entries: Float[Tensor, "m 10 p"],
    sums: Float[Tensor, "m k 10"],
    regularisation: float,
    iterations: int,
    tolerance: float,
) -> Mixtures:
    # EM from the sums of u u^T over the pixels of each component; a mixture that is finished leaves the loop.
    scales = (sums[..., 0] > 0) / entries[:, :1].sum(dim=2)  # of the weights: 1 / pixels, 0 for no component
    done, scale, live = sums.clone(), scales, torch.arange(len(sums), device=sums.device)
    likelihood = torch.full_like(scale[:, 0], -math.inf)
    for _ in range(iterations):
        joint = _forms(_estimated(sums, scale, regularisation)) @ entries
        top = joint.amax(dim=1, keepdim=True)
        joint.sub_(top).exp_()
        total = joint.sum(dim=1, keepdim=True)
        done[live] = sums = joint.div_(total) @ entries.mT
        before, likelihood = likelihood, ((top + total.log()).squeeze(1) * entries[:, 0]).sum(dim=1) * scale[:, 0]
        going = ((likelihood - before).abs() >= tolerance).nonzero().squeeze(1)
        if len(going) < len(live):
            kept = (values.index_select(0, going) for values in (entries, sums, scale, likelihood, live))
            entries, sums, scale, likelihood, live = kept
        if not len(live):
            break
    return _estimated(done, scales, regularisation)


def _estimated(sums: Float[Tensor, "m k 10"], scale: Float[Tensor, "m k"], regularisation: float) -> Mixtures:
    counts = sums[..., :1] + _LEAST
    moments = (sums / counts)[..., _PLACES]
    moments[..., 0, 0] = 1
    moments.diagonal(dim1=-2, dim2=-1)[..., 1:] += regularisation
    return Mixtures(counts.squeeze(-1) * scale, moments)


def _forms(models: Mixtures) -> Float[Tensor, "m k 10"]:
    # log(pi N(z)) as the factors of the entries of u u^T, of which those off the diagonal stand for two.
    root = torch.linalg.cholesky(models.moments)
    inverse = torch.cholesky_inverse(root)
    inverse.diagonal(dim1=-2, dim2=-1).div_(2)
    forms = -inverse[..., _ROWS, _COLUMNS]
    log_weights = models.weights.log().clamp(min=_NEVER)
    forms[..., 0] += log_weights - root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + (1 - 3 * math.log(2 * math.pi)) / 2
    return forms
