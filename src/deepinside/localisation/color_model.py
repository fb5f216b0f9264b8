"""Colour models: Gaussian mixtures of the RGB of seed pixels, and the cost of each pixel under them."""

import warnings

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture


def mixture(
    colours: Float[ndarray, "p 3"],
    *,
    components: int = 5,
    samples: int = 2000,
    regularisation: float = 1e-4,
    iterations: int = 20,
    seed: int = 0,
) -> GaussianMixture:
    """A Gaussian mixture with full covariances, sum_k pi_k N(z; mu_k, S_k), fitted by EM.

    Args:
        colours: RGB in [0, 1], one row per seed pixel, at least one.
        components: number of Gaussians; fewer if there are fewer distinct colours.
        samples: highest number of seed pixels, sampled without replacement.
        regularisation: added to the diagonal of every covariance, so that seeds of one colour have a finite density.
        iterations: of EM, at most.
        seed: of the sampling and the initialisation.

    Returns:
        The fitted mixture.

    Raises:
        ValueError: if there is no seed pixel.

    Source: Simonyan et al. 2013, sec. 3.2 (mixtures); Rother et al. 2004, sec. 3.1 (5 components, full covariances).
    Deviation: seeds are subsampled; fitting all of them costs six times as much and hardly changes the mask.
    """
    if not len(colours):
        raise ValueError("expected at least one seed pixel, got none: lower the quantile or check the map")
    random = np.random.default_rng(seed)
    if len(colours) > samples:
        colours = colours[random.choice(len(colours), samples, replace=False)]
    distinct = len(np.unique(colours, axis=0))
    if len(colours) == 1:
        colours = np.repeat(colours, 2, axis=0)  # the library wants two samples
    model = GaussianMixture(
        min(components, distinct),
        reg_covar=regularisation,
        max_iter=iterations,
        init_params="random_from_data",
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of rounds is what is asked for
        return model.fit(colours)


def unaries(
    image: Float[ndarray, "h w 3"],
    seeds: Bool[ndarray, "h w"],
    *,
    components: int = 5,
    samples: int = 2000,
    seed: int = 0,
    where: Bool[ndarray, "h w"] | None = None,
) -> Float[ndarray, "h w"]:
    """The cost of assigning each pixel to the seeds' side: -log p(colour | mixture of the seeds).

    Args:
        image: RGB in [0, 1], (h, w, 3).
        seeds: the pixels the mixture is fitted to, at least one.
        components: of the mixture.
        samples: seed pixels used, at most.
        seed: of the sampling and the initialisation.
        where: pixels to evaluate; None for all.

    Returns:
        (h, w), in nats; low where the colour is likely, 0 at pixels that are not evaluated.

    Source: Simonyan et al. 2013, sec. 3.2; Rother et al. 2004, eq. 8.
    """
    model = mixture(image[seeds], components=components, samples=samples, seed=seed)
    costs = np.zeros(image.shape[:2])
    wanted = np.ones_like(seeds) if where is None else where
    if wanted.any():
        costs[wanted] = -model.score_samples(image[wanted])
    return costs
