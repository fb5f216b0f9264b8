"""What a network's outputs are: how many, and their names."""

from collections.abc import Mapping, Sequence

from torch import Tensor

_IMAGENET = 1000


def output_count(classes: Sequence[str] | None, tensors: Mapping[str, Tensor] | None, head: str) -> int:
    """How many classes a network that is about to be built has.

    Args:
        classes: their names, where the data say them.
        tensors: weights about to be loaded, where there are any.
        head: key of the last layer's bias.

    Returns:
        The length of the bias in `tensors`, else the number of names, else 1000.

    Raises:
        ValueError: if the weights and the names disagree.
    """
    stored = None if tensors is None or head not in tensors else len(tensors[head])
    if stored is not None and classes and stored != len(classes):
        raise ValueError(
            f"the weights tell {stored} classes apart ({head}), the data have {len(classes)}: "
            "take data with the network's classes, or model.weights=null to train on these"
        )
    return stored or (len(classes) if classes else _IMAGENET)


def class_names(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """One name per output.

    Args:
        classes: as the data name them.
        count: number of outputs.

    Returns:
        The data's names; without them ImageNet's for 1000 outputs (sorted by WordNet id), else `class 0`, ...

    Raises:
        ValueError: if there are more or fewer names than outputs.
    """
    if classes:
        if len(classes) != count:
            raise ValueError(
                f"the network gives {count} scores and the data have {len(classes)} classes "
                f"({', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}): they must be as many"
            )
        return tuple(classes)
    if count != _IMAGENET:
        return tuple(f"class {i}" for i in range(count))
    from torchvision.models._meta import _IMAGENET_CATEGORIES  # slow to import, and not always needed

    return tuple(_IMAGENET_CATEGORIES)
