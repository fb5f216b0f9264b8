"""The concepts a probe set knows: numbered labels, each scored under one category."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor


@dataclass(frozen=True)
class Vocabulary:
    """Labels by number; number 0 is "no label".

    Args:
        categories: names, in the order of the probe set's `category.csv`.
        names: name of each label by its number, (l,); empty for 0 and for numbers that nothing bears.
        primary: index of each label's primary category, (l,); -1 where there is none.

    Raises:
        ValueError: if the lengths disagree, label 0 has a name, or a category index is out of range.
    """

    categories: tuple[str, ...]
    names: tuple[str, ...]
    primary: Int[ndarray, " l"]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.primary) or not self.names:
            raise ValueError(f"expected a category per label, got {len(self.names)} and {len(self.primary)}")
        if self.names[0] or self.primary[0] != -1:
            raise ValueError(f"expected label 0 to be no label, got {self.names[0]!r}: labels are numbered from 1")
        if not -1 <= self.primary.min() <= self.primary.max() < len(self.categories):
            raise ValueError(f"expected categories below {len(self.categories)}, got {self.primary.max()}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def named(self) -> Bool[ndarray, " l"]:
        """Which numbers a label bears."""
        return np.array([bool(name) for name in self.names])

    def members(self, category: int) -> Int[ndarray, " m"]:
        """The labels scored under a category.

        Args:
            category: its index.

        Returns:
            Label numbers, rising.
        """
        return np.flatnonzero(self.primary == category)

    def column(self) -> Int[Tensor, " l"]:
        """The category of each label, as a column number; what has none gets one column more.

        Returns:
            (l,), 0 to the number of categories.
        """
        return torch.from_numpy(np.where(self.primary < 0, len(self.categories), self.primary).astype(np.int64))

    def member(self, ids: Int[Tensor, "n k"]) -> Bool[Tensor, "n k c"]:
        """Whether each label is of each category.

        Args:
            ids: numbers of labels, (n, k); 0 is of none.

        Returns:
            (n, k, c).
        """
        column = self.column().to(ids.device)[ids]
        return column[:, :, None] == torch.arange(len(self.categories), device=ids.device)
