"""The backward rule of ReLUs."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from deepinside.network import Network
from deepinside.spelling import closest

RULES = ("gradient", "deconvnet", "guided")
_REDIRECTED = "redirected"  # see `redirected`


def rectified_back(signal: Tensor, passed: Tensor | None = None, rule: str = "deconvnet") -> Tensor:
    """The backward pass of a rectifier (see `relu_rule`).

    Args:
        signal: from the layer above.
        passed: positions where the input was positive in the forward pass; not needed for `deconvnet`.
        rule: `gradient`, `deconvnet` or `guided`.

    Returns:
        The signal for the layer below, of the same shape.
    """
    if rule != "gradient":
        signal = signal.clamp(min=0)
    return signal if rule == "deconvnet" or passed is None else signal * passed


class _Rectifier(torch.autograd.Function):
    """clamp(x, 0, top) whose backward pass follows a rule (see `relu_rule`)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, rule: str) -> Tensor:
        ctx.rule = rule
        if rule != "deconvnet":
            ctx.save_for_backward((x > 0) & (x < top))
        return x.clamp(0, top) if top < float("inf") else x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *signals: Any) -> tuple[Tensor, None, None]:
        (passed,) = ctx.saved_tensors or (None,)
        if ctx.rule != _REDIRECTED:
            return rectified_back(signals[0], passed, ctx.rule), None, None
        assert passed is not None
        found = signals[0] * passed
        silent = (found == 0).flatten(1).all(dim=1).view(-1, *[1] * (found.ndim - 1))
        return torch.where(silent, signals[0].clamp(min=0), found), None, None


class UndefinedRule(ValueError):
    """A nonlinearity for which DeconvNet and guided back-propagation define no backward rule.

    Args:
        what: its name.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"no deconvnet or guided rule is defined for {what}: only ReLU and ReLU6 have one; use rule='gradient'"
        )


def _top_of_hardtanh(min_val: float = -1.0, max_val: float = 1.0) -> float:
    if min_val != 0:
        raise UndefinedRule(f"hardtanh from {min_val} to {max_val}")
    return max_val


def _top_of_threshold(threshold: float, value: float) -> float:
    if threshold != 0 or value != 0:
        raise UndefinedRule(f"threshold at {threshold} with value {value}")
    return float("inf")


_INFINITE = {functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_TOPS: dict[Any, Callable[..., float]] = dict.fromkeys(_INFINITE, lambda: float("inf"))
_TOPS[functional.relu6] = lambda: 6.0
_TOPS |= dict.fromkeys((functional.hardtanh, functional.hardtanh_), _top_of_hardtanh)
_THRESHOLD_ = functional.threshold_  # type: ignore[attr-defined]  # the stubs lack it
_TOPS |= dict.fromkeys((functional.threshold, _THRESHOLD_, torch.threshold), _top_of_threshold)
_IN_PLACE = {functional.relu_, torch.relu_, Tensor.relu_, functional.hardtanh_, _THRESHOLD_}


class _Rule(TorchFunctionMode):
    def __init__(self, rule: str) -> None:
        super().__init__()
        self.rule = rule
        self.used = 0  # rectifiers that followed the rule

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func not in _TOPS:
            return func(*args, **options)
        self.used += 1
        x, *rest = args if args else (options.pop("input"),)
        # nn.ReLU hands over `inplace` by position in some versions, by name in others.
        in_place = options.pop("inplace", False) or func in _IN_PLACE
        if rest and isinstance(rest[-1], bool):
            in_place = rest.pop() or in_place
        rectified = _Rectifier.apply(x, _TOPS[func](*rest, **options), self.rule)
        return x.copy_(rectified) if in_place else rectified


# Backward nodes that act as a rectifier, or may hide one: if a rule was asked for, none may be left in the graph.
_UNRULED = (
    "Relu", "Clamp", "Maximum", "Threshold", "Hardtanh", "Gelu", "Silu", "LeakyRelu", "Elu", "Celu", "Selu",
    "Prelu", "RreluWithNoise", "Hardswish", "Mish", "Softplus", "Sigmoid", "Tanh", "Glu", "Hardsigmoid",
    "LogSigmoid", "Softshrink", "Hardshrink", "Fmax", "Minimum", "DifferentiableGraph", "CompiledFunction",
    "Where",
    # attention, whose weights are a softmax, and recurrent layers, whose gates are sigmoids, each in one node
    "Softmax", "LogSoftmax", "ScaledDotProduct", "MkldnnRnn", "CudnnRnn", "ThnnFused",
)  # fmt: skip


def graph(tensor: Tensor) -> Iterator[Node]:
    """The backward nodes that a tensor depends on, each once, parents after children.

    Args:
        tensor: output of a forward pass.

    Yields:
        Nodes, from the output towards the input.
    """
    stack, seen = [tensor.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            stack += [parent for parent, _ in node.next_functions]


def check_ruled(output: Any, rule: str, but: tuple[str, ...] = ()) -> None:
    """Raises if a rectifier was not reached by the rule, so that nothing is silently a plain gradient.

    Args:
        output: output of a forward pass under `relu_rule(rule)`: a tensor, or a collection of tensors.
        rule: as passed to `relu_rule`; `gradient` needs no check.
        but: prefixes of names of backward nodes to ignore.

    Raises:
        UndefinedRule: naming the backward node: a scripted or compiled module, a clamp or maximum used as ReLU, or an
            activation without a defined rule.
    """
    if rule == "gradient":
        return
    if isinstance(output, Tensor):
        for node in graph(output):
            if node.name().startswith(_UNRULED) and not node.name().startswith(but):
                what = f"the backward node {node.name()!r} (a scripted or compiled part, a clamp or another activation)"
                raise UndefinedRule(f"{what}, which rule {rule!r} did not replace")
    elif isinstance(output, Mapping):
        check_ruled(tuple(output.values()), rule, but)
    elif isinstance(output, list | tuple):
        for part in output:
            check_ruled(part, rule, but)


@contextmanager
def relu_rule(rule: str) -> Generator[None]:
    """Sets the backward rule of every ReLU in the block; use autograd as usual.

    With x the input of the ReLU and r the signal from above: `gradient` r·1[x > 0]; `deconvnet` r·1[r > 0];
    `guided` r·1[x > 0]·1[r > 0]. A ReLU6 also blocks where x >= 6 (not in `deconvnet`). Works on modules, functions,
    in-place and re-used ReLUs of any torch module, because it acts on functions and not on modules.

    Args:
        rule: `gradient`, `deconvnet` or `guided`.

    Yields:
        Nothing.

    Raises:
        ValueError: for an unknown rule.
        UndefinedRule: at the end of a forward pass, for a rectifier that the rule did not reach, or for a network that
            has none: its map would be the plain gradient under another name.

    Source: Simonyan et al. 2013, sec. 4; Zeiler & Fergus 2014, sec. 2.1; Springenberg et al. 2015, sec. 3.
    """
    if rule not in RULES:
        raise ValueError(f"unknown ReLU rule {rule!r}; {closest(rule, RULES)}")
    if rule == "gradient":
        yield
        return
    depth, mode = 0, _Rule(rule)

    def enter(_module: nn.Module, _args: Any) -> None:
        nonlocal depth
        depth += 1

    def leave(module: nn.Module, _args: Any, output: Any) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            check_ruled(output, rule)
            if isinstance(module, Network) and output is not None and not mode.used:  # None: it was interrupted
                raise UndefinedRule(f"{module.name}, which has no ReLU")

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        with mode:
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def redirected() -> Generator[None]:
    """Lets a signal pass a ReLU that blocks all of an image's, so that a unit that is zero has a gradient.

    At every ReLU, for each image whose signal r·1[x > 0] would be zero everywhere, r·1[r > 0] is passed instead; for
    others the gradient. Nonlinearities other than ReLU and ReLU6 keep their gradient.

    Yields:
        Nothing.

    Source: Olah et al. 2017, whose code redirects the gradients of ReLUs likewise.
    """
    with _Rule(_REDIRECTED):
        yield
