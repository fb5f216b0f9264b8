"""What became of the mean pictures of a class's facets."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_INCHES = 1.15  # side of a picture


def facets(study: Study) -> Iterator[Drawn]:
    """Classes down; per facet the mean picture that the ascent starts at, and its end.

    Args:
        study: of `facets`.

    Yields:
        One figure.
    """
    starts, ends = study.shown["starts"], study.shown["ends"]
    classes, count = starts.shape[:2]
    figure = Figure(figsize=(2 * count * _INCHES + 2, classes * (_INCHES + 0.12) + 0.4), layout="constrained")
    axes = figure.subplots(classes, 2 * count, squeeze=False)
    names, apart = study.table["name"].tolist(), study.table[["apart", "random_apart"]].to_numpy()
    for number, row in enumerate(axes):
        for place, axis in enumerate(row):
            axis.imshow((ends if place % 2 else starts)[number, place // 2])
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(
            f"{names[number].split(',')[0]}\n{apart[number, 0]:+.0%} / {apart[number, 1]:+.0%}", fontsize=9
        )
    for place, axis in enumerate(axes[0]):
        axis.set_title("drawn from it" if place % 2 else f"facet {place // 2 + 1}, mean", fontsize=9)
    caption = (
        "Photographs of a class are sorted by the network's codes; from the mean of each facet the class's score is "
        "climbed. Beside each class: how much farther apart pictures of two facets end than two of one, and the same "
        "for facets dealt out by chance."
    )
    yield Drawn(figure, "", "Facets of classes", caption)
