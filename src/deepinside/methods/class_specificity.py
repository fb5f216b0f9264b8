"""Dependence of saliency maps on the class and on the learnt weights."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy import stats
from torch import Tensor

from deepinside.methods.saliency import saliency
from deepinside.network import Network
from deepinside.probe import RULES
from deepinside.probe.randomise import randomised, with_weights
from deepinside.records import Batch, Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study

_LAST, _ALL = "correlation_with_last_random", "correlation_with_all_random"
_OTHER = "correlation_with_other_picture"


def class_specificity(
    network: Network,
    pictures: Pictures,
    *,
    rules: Sequence[str] = tuple(RULES),
    depths: int = 6,
    images: int = 12,
    batch_size: int = 6,
    seed: int = 0,
) -> Study:
    """Rank correlations of saliency maps: between two classes of an image, and with those of a randomised network.

    From the last layer to the first, layer after layer is set to random weights (cascading randomisation), and the map
    of the class that the trained network predicted is recomputed. A method whose map hardly changes depends on the
    image, not on the network.

    Args:
        network: with nonlinearities that have the rules.
        pictures: of a data set.
        rules: of the ReLUs: gradient, guided, deconvnet.
        depths: number of stages of the cascade, evenly from only the last layer to all of them.
        images: number of images.
        batch_size: images per pass.
        seed: of the random weights.

    Returns:
        `table`: a row per rule and image, with the correlation between the maps of its two most probable classes,
        that with only the last layer random, that with all, and, for scale, that of the trained network's maps of this
        and the next image; `shown`: the cascade, (rules, depths, images), and the
        number of random layers at each depth. Spearman's, of magnitudes (maximum over channels).

    Raises:
        ValueError: if no image can be read.

    Source: Adebayo et al. 2018, sec. 3 (cascading randomisation, Spearman of magnitudes).
    """
    positions, _ = pictures.first(images)
    parts = [part for _, part in pictures.batches(batch_size, positions)]
    classes = [_two(network, part) for part in parts]
    trained = {rule: _maps(network, parts, classes, rule) for rule in rules}
    layers = with_weights(network)
    counts = sorted({round(1 + k * (len(layers) - 1) / max(depths - 1, 1)) for k in range(depths)})
    cascade = np.full((len(rules), len(counts), len(positions)), np.nan)
    for depth, count in enumerate(counts):
        forgot = randomised(network, seed, layers[-count:])
        for number, rule in enumerate(rules):
            found = _maps(forgot, parts, [both[:, :1] for both in classes], rule)
            cascade[number, depth] = [_spearman(a[0], b[0]) for a, b in zip(found, trained[rule], strict=True)]
    names = [name for part in parts for name in part.names]
    rows = [
        (
            rule,
            name,
            _spearman(*trained[rule][i]),
            cascade[number, 0, i],
            cascade[number, -1, i],
            _other(trained[rule], i),
        )
        for (number, rule), (i, name) in product(enumerate(rules), enumerate(names))
    ]
    table = pd.DataFrame(rows, columns=["rule", "picture", "correlation_of_classes", _LAST, _ALL, _OTHER])
    shown = {"cascade": cascade, "random_layers": np.array(counts), "rules": np.array(rules)}
    return Study(table, (Row("images", len(positions), "images"), *_numbers(table)), shown)


def _two(network: Network, part: Batch) -> Tensor:
    return network.scores(part.images).topk(2, dim=1).indices.cpu()


def _maps(
    network: Network, parts: Sequence[Batch], classes: Sequence[Tensor], rule: str
) -> list[Float[ndarray, "t p"]]:
    found = [
        saliency(network, part, classes=both, rule=rule).values.flatten(2).cpu().numpy()
        for part, both in zip(parts, classes, strict=True)
    ]
    return [maps for batch in found for maps in batch]


def _spearman(one: Float[ndarray, " p"], other: Float[ndarray, " p"]) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")  # a flat map has no ranks
    return float(stats.spearmanr(one, other).statistic)


def _other(maps: Sequence[Float[ndarray, "t p"]], i: int) -> float:
    return _spearman(maps[i][0], maps[(i + 1) % len(maps)][0]) if len(maps) > 1 else float("nan")


def _numbers(table: pd.DataFrame) -> Iterator[Row]:
    for rule, part in table.groupby("rule", sort=False):
        for column in ("correlation_of_classes", _LAST, _ALL, _OTHER):
            if part[column].notna().any():
                yield mean_row(f"{rule}.{column}", part[column], "rank correlation")
