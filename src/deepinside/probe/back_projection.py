"""An explicit DeconvNet: transposed convolutions, unpooling with switches, rectification, layer by layer.

It uses autograd only for the record of the forward pass, so that the two can be compared.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn import functional

from deepinside.probe.rule import RULES, check_ruled, graph, rectified_back
from deepinside.runtime.pixel_gradient import input_gradient
from deepinside.spelling import closest

UNPOOL = ("accumulate", "overwrite")


def back_project(
    activation: Tensor,
    seed: Tensor,
    images: Float[Tensor, "n 3 h w"],
    *,
    rule: str = "deconvnet",
    unpool: str = "accumulate",
) -> Float[Tensor, "n 3 h w"]:
    """Projects a signal from a layer's activation back to the pixels by a DeconvNet.

    Convolutions are transposed (flipped filters, no bias), pooled values are placed at the position of the maximum (the
    switch), ReLUs rectify by the rule; sums and concatenations pass the signal to all of their inputs, and other linear
    operations (reshaping, averaging, scaling) are transposed.

    Args:
        activation: activation of a layer, from a forward pass of `images` without `relu_rule`, graph attached.
        seed: the signal to start from, of the shape of `activation`.
        images: leaf that requires grad, (n, 3, h, w).
        rule: of the ReLUs: `gradient`, `deconvnet` or `guided`.
        unpool: where windows share a maximum, their values `accumulate`, or the last one `overwrite`s the others.

    Returns:
        The reconstruction, (n, 3, h, w).

    Raises:
        ValueError: for an unknown rule or unpooling mode, or if the activation does not depend on the images.
        UndefinedRule: for a nonlinearity without a DeconvNet rule, where the rule is not `gradient`.

    Source: Zeiler & Fergus 2014, sec. 2.1; Simonyan et al. 2013, sec. 4.
    """
    for word, known in ((rule, RULES), (unpool, UNPOOL)):
        if word not in known:
            raise ValueError(f"unknown {word!r}; {closest(word, known)}")
    check_ruled(activation, rule, but=("Relu", "Hardtanh"))
    waiting = _uses(activation)
    signals: dict[Node, dict[int, Tensor]] = defaultdict(dict)
    ready = [activation.grad_fn]
    signals[activation.grad_fn][activation.output_nr] = seed  # type: ignore[index]
    while ready:
        node: Any = ready.pop()
        arrived = signals.pop(node, {})
        if getattr(node, "variable", None) is images:
            return arrived[0]
        sent = _sent(node, arrived, rule, unpool) if arrived else [None] * len(node.next_functions)
        for (parent, number), signal in zip(node.next_functions, sent, strict=True):
            if parent is None:
                continue
            if signal is not None:
                sums = signals[parent]
                sums[number] = sums[number] + signal if number in sums else signal
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    raise ValueError("the output does not depend on the images: did they require grad before the forward pass?")


def _uses(activation: Tensor) -> dict[Node, int]:
    uses: dict[Node, int] = defaultdict(int)
    for node in graph(activation):
        for parent, _ in node.next_functions:
            if parent is not None:
                uses[parent] += 1
    return uses


def _sent(node: Any, arrived: dict[int, Tensor], rule: str, unpool: str) -> Sequence[Tensor | None]:
    # What a node hands to each of its parents.
    name = node.name()
    for start, back in _LAYERS.items():
        if name.startswith(start):
            return [back(node, arrived[0], rule, unpool), *[None] * (len(node.next_functions) - 1)]
    if name.endswith("AccumulateGrad"):
        return []
    signals = [arrived.get(number) for number in range(max(arrived) + 1)]
    activation = node.apply(*signals) if hasattr(node, "apply") else node(*signals)
    return activation if isinstance(activation, tuple) else (activation,)


def _convolution(node: Any, signal: Tensor, _rule: str, _unpool: str) -> Tensor:
    if node._saved_transposed:
        raise ValueError("DeconvNet is not defined for a transposed convolution; use the gradient")
    weight, stride, padding, dilation = (
        node._saved_weight, node._saved_stride, node._saved_padding, node._saved_dilation,
    )  # fmt: skip
    wanted, kernel = node._saved_input.shape[2:], weight.shape[2:]
    rest = [
        side - ((out - 1) * s - 2 * p + d * (k - 1) + 1)
        for side, out, s, p, d, k in zip(wanted, signal.shape[2:], stride, padding, dilation, kernel, strict=True)
    ]
    return functional.conv_transpose2d(signal, weight, None, stride, padding, rest, node._saved_groups, dilation)


def _strided(node: Any, signal: Tensor, _rule: str, _unpool: str) -> Tensor:
    return input_gradient(signal, node.saved_tensors[0], node.size, node.stride, node.padding)


def _pool(node: Any, signal: Tensor, _rule: str, unpool: str) -> Tensor:
    size = node._saved_self.shape
    switches = node._saved_result1.flatten(2)
    flat = signal.new_zeros(*size[:2], size[2] * size[3])
    if unpool == "accumulate":
        flat.scatter_add_(2, switches, signal.flatten(2))
    else:
        flat.scatter_(2, switches, signal.flatten(2))
    return flat.view(size)


def _rectifier(node: Any, signal: Tensor, rule: str, _unpool: str) -> Tensor:
    return rectified_back(signal, node._saved_result > 0, rule)


def _capped(node: Any, signal: Tensor, rule: str, _unpool: str) -> Tensor:
    x = node._saved_self
    return rectified_back(signal, (x > node._saved_min_val) & (x < node._saved_max_val), rule)


def _batch_norm(node: Any, signal: Tensor, _rule: str, _unpool: str) -> Tensor:
    scale = (node._saved_running_var + node._saved_eps).rsqrt()
    weight = node._saved_weight
    return signal * (scale if weight is None else scale * weight).view(1, -1, *[1] * (signal.ndim - 2))


_LAYERS: dict[str, Callable[[Any, Tensor, str, str], Tensor]] = {
    "ConvolutionBackward": _convolution,
    "_ConvolutionBackward": _strided,  # of runtime.pixel_gradient
    "MaxPool2DWithIndices": _pool,
    "ReluBackward": _rectifier,
    "HardtanhBackward": _capped,
    "NativeBatchNormBackward": _batch_norm,
}
