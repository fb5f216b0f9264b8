"""Networks with random weights: the control of every visualisation method."""

from collections.abc import Collection
from copy import deepcopy

import torch

from deepinside.network import Network


def with_weights(network: Network) -> tuple[str, ...]:
    """The parts that have weights of their own.

    Args:
        network: to look into.

    Returns:
        Dotted names, in the order in which the network declares them.
    """
    return tuple(
        name for name, part in network.module.named_modules() if any(True for _ in part.parameters(recurse=False))
    )


def randomised(network: Network, seed: int, only: Collection[str] | None = None) -> Network:
    """A copy with the weights of an untrained network.

    Args:
        network: to look into.
        seed: of the weights.
        only: parts to randomise, see `with_weights`; None for all.

    Returns:
        The copy, frozen: every part is initialised by torch's default (statistics of normalisation included), and
        weights that belong to no such part are shuffled.

    Source: Adebayo et al. 2018, sec. 3 (model parameter randomisation test).
    """
    copy = Network(deepcopy(network.module), network.preprocessing, network.classes, f"{network.name}, random weights")
    parts = {name: part for name, part in copy.module.named_modules() if only is None or name in only}
    fresh: set[int] = set()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for part in parts.values():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
                fresh |= {id(tensor) for tensor in part.parameters(recurse=False)}
        for part in parts.values():
            for weights in part.parameters(recurse=False):
                if id(weights) not in fresh:
                    weights.copy_(weights.flatten()[torch.randperm(weights.numel())].view_as(weights))
    return copy.to(network.device).requires_grad_(requires_grad=False).eval()
