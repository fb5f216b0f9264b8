"""The backward rule of local response normalisation."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from deepinside.spelling import closest

CONTRAST_RULES = ("gradient", "identity")


class _Passed(torch.autograd.Function):
    """The output of the normalisation, whose backward pass is the identity."""

    @staticmethod
    def forward(_ctx: Any, _x: Tensor, output: Tensor) -> Tensor:
        return output.clone()

    @staticmethod
    def backward(_ctx: Any, *signals: Any) -> tuple[Tensor, None]:
        return signals[0], None


class _Identity(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func is not functional.local_response_norm:
            return func(*args, **options)
        x = args[0] if args else options["input"]
        with torch.no_grad():
            output = func(*args, **options)
        return _Passed.apply(x, output)


@contextmanager
def contrast_rule(rule: str) -> Generator[None]:
    """Sets the backward rule of every local response normalisation in the block.

    `gradient` is that of autograd; `identity` passes the signal unchanged, as DeconvNets do in the absence of an
    inverse.

    Args:
        rule: `gradient` or `identity`.

    Yields:
        Nothing.

    Raises:
        ValueError: for an unknown rule.

    Source: Zeiler & Fergus 2014, sec. 2.1 names no inverse of contrast normalisation.
    Deviation: the identity is the common choice, and ours.
    """
    if rule not in CONTRAST_RULES:
        raise ValueError(f"unknown contrast rule {rule!r}; {closest(rule, CONTRAST_RULES)}")
    if rule == "gradient":
        yield
        return
    with _Identity():
        yield
