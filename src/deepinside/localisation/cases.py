"""Images of good, median and bad boxes, chosen by rule."""

from pathlib import Path

from deepinside.data.index import Entry
from deepinside.localisation.localiser import Localiser
from deepinside.localisation.outcome import Outcome
from deepinside.localisation.segment import SEGMENTATIONS
from deepinside.localisation.settings import SALIENCY, Settings
from deepinside.plots.gallery import Gallery
from deepinside.plots.localisation import Case, panes, steps


def draw(outcome: Outcome, localiser: Localiser, out: Path) -> None:
    """Draws selected cases, from image to box.

    Args:
        outcome: of all images.
        localiser: that computed it.
        out: folder of the artifact.
    """
    gallery = Gallery(out)
    entries = {entry.image: entry for entry in localiser.index.entries}
    for rule, rank, position in chosen(outcome, localiser.options.pictures):
        entry = entries[outcome.images[position]]
        image = localiser.index.picture(entry)
        found = localiser.segmentation(entry, image)
        overlap = float(outcome.known_overlaps[position])
        case = Case(
            image.permute(1, 2, 0).numpy(), *found[:5], outcome.located.known[position],
            truth=outcome.instances[position], overlap=overlap,
            panels=SEGMENTATIONS[localiser.settings.segmentation].panels, scale=_scale(localiser.settings),
        )  # fmt: skip
        name = localiser.index.classes[entry.label].split(",")[0]  # ImageNet's names list their synonyms
        gallery.add(
            steps(case, f"{name}: IoU {overlap:.2f}"),
            f"{rule}_{rank}",
            group=f"{rule} boxes",
            title=f"{name}, IoU {overlap:.2f}",
            caption=_caption(entry, name, localiser, rule, len(outcome.images)),
            panes=panes(case),
            about=(f"image/{entry.image}",),
        )
    gallery.write()


def _caption(entry: Entry, name: str, localiser: Localiser, rule: str, count: int) -> str:
    options = localiser.options
    how = SEGMENTATIONS[localiser.settings.segmentation].describe(localiser.settings)
    return (
        f"{entry.image}: class {name}, the true one; network {localiser.network.name}, preset "
        f"{options.name}, crops {options.crops}, {how}. Chosen as the {rule} of {count} images by IoU."
    )


def _scale(settings: Settings) -> str:
    if list(settings.map) == [SALIENCY]:
        return "|score change| per unit of intensity"
    return " + ".join(f"{weight:g} x {name}" for name, weight in settings.map.items()) + ", each 0 to 1"


def chosen(outcome: Outcome, each: int) -> list[tuple[str, int, int]]:
    """Cases to draw: the best, the median and the worst by IoU of the true class's box; ties by name.

    Args:
        outcome: of all images.
        each: highest number of each kind.

    Returns:
        (`best` | `median` | `worst`, 1, 2, ..., position), no image twice.
    """
    order = sorted(range(len(outcome.images)), key=lambda i: (-outcome.known_overlaps[i], outcome.images[i]))
    middle = max(0, (len(order) - each) // 2)
    kinds = {"best": order[:each], "median": order[middle : middle + each], "worst": order[::-1][:each]}
    seen: set[int] = set()
    cases = []
    for kind, positions in kinds.items():
        fresh = [position for position in positions if position not in seen]
        seen |= set(fresh)
        cases += [(kind, rank, position) for rank, position in enumerate(fresh, 1)]
    return cases
