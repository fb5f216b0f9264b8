"""Finished batches: whole-number sums of every picture, kept sparse, from which all totals are made."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor

from deepinside.dissection.labels import Carried
from deepinside.dissection.tally import Tally

Arrays = Mapping[str, ndarray]


class Part(NamedTuple):
    """The sums of a batch.

    Args:
        numbers: of the pictures, (n,).
        labels: that each carries.
        pixels: of each label map, (n,).
        strangers: whether a picture's masks have also met labels of other pictures, (n,).
        tallies: of each layer.
    """

    numbers: Int[ndarray, " n"]
    labels: Carried
    pixels: Int[Tensor, " n"]
    strangers: Bool[Tensor, " n"]
    tallies: Sequence[Tally]

    def only(self, chosen: Bool[Tensor, " n"]) -> "Part":
        """Some of the pictures.

        Args:
            chosen: which, (n,).

        Returns:
            Their sums.
        """
        return Part(
            self.numbers[chosen.numpy()],
            Carried(self.labels.ids[chosen], self.labels.area[chosen]),
            self.pixels[chosen],
            self.strangers[chosen],
            [Tally(common[chosen], mask[chosen]) for common, mask in self.tallies],
        )


def joined(parts: Sequence[Part]) -> Part:
    """Several parts as one.

    Args:
        parts: with the same layers; at least one.

    Returns:
        Their pictures, one part after the other.
    """
    width = max(part.labels.ids.shape[1] for part in parts)
    labels = [Carried(*(_widened(numbers, width) for numbers in (part.labels.ids, part.labels.area))) for part in parts]
    return Part(
        np.concatenate([part.numbers for part in parts]),
        Carried(torch.cat([x.ids for x in labels]), torch.cat([x.area for x in labels])),
        torch.cat([part.pixels for part in parts]),
        torch.cat([part.strangers for part in parts]),
        [
            Tally(torch.cat([_widened(x.common, width) for x in layer]), torch.cat([x.mask for x in layer]))
            for layer in zip(*(part.tallies for part in parts), strict=True)
        ],
    )


def _widened(numbers: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(numbers, (0, width - numbers.shape[-1]))


def packed(part: Part) -> dict[str, ndarray]:
    """A part as arrays for numpy.savez.

    Args:
        part: any.

    Returns:
        Arrays; of the common pixels only those that are there.
    """
    arrays = {"numbers": part.numbers, "ids": part.labels.ids, "area": part.labels.area, "pixels": part.pixels}
    answer = {name: np.asarray(values).astype(np.int32) for name, values in arrays.items()}
    answer["strangers"] = part.strangers.numpy()
    for index, (common, mask) in enumerate(part.tallies):
        answer |= {f"{index}.{key}": values for key, values in sparse(common.numpy()).items()}
        answer[f"{index}.mask"] = mask.numpy().astype(np.int32)
    return answer


def unpacked(arrays: Arrays, layers: int) -> Part:
    """The part that was packed.

    Args:
        arrays: as `packed` gave them.
        layers: how many.

    Returns:
        The part.
    """
    ids, area, pixels, strangers = (torch.from_numpy(arrays[name]) for name in ("ids", "area", "pixels", "strangers"))
    tallies = []
    for index in range(layers):
        mask = torch.from_numpy(arrays[f"{index}.mask"]).long()
        common = dense(arrays, f"{index}.", (*mask.shape, ids.shape[1]))
        tallies.append(Tally(torch.from_numpy(common), mask))
    return Part(arrays["numbers"], Carried(ids.long(), area.long()), pixels.long(), strangers, tallies)


def sparse(values: Int[ndarray, "..."]) -> dict[str, ndarray]:
    """The places that are not zero.

    Args:
        values: of any shape, whole numbers below 2^31.

    Returns:
        `at`, flat places, and `sum`, what is there.
    """
    at = np.flatnonzero(values)
    kind = np.int32 if values.size < 2**31 else np.int64
    return {"at": at.astype(kind), "sum": values.ravel()[at].astype(np.int32)}


def dense(arrays: Arrays, prefix: str, shape: Sequence[int]) -> Int[ndarray, "..."]:
    """What `sparse` took apart.

    Args:
        arrays: with `<prefix>at` and `<prefix>sum`.
        prefix: of the names.
        shape: of the answer.

    Returns:
        Whole numbers.
    """
    answer = np.zeros(shape, dtype=np.int64)
    answer.ravel()[arrays[f"{prefix}at"]] = arrays[f"{prefix}sum"]
    return answer
