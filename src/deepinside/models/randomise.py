"""The same network without what it learnt: the control of every method that looks inside."""

from copy import deepcopy

import torch

from deepinside.network import Network


def randomised(network: Network, seed: int) -> Network:
    """A copy whose weights are those of a network that has not been trained.

    Args:
        network: any.
        seed: of the weights.

    Returns:
        The copy, frozen: every part starts as torch starts it (statistics of normalisation included), and weights that
        belong to no such part are shuffled.

    Source: Adebayo et al. 2018, sec. 3 (model parameter randomisation test, all layers).
    """
    copy = Network(deepcopy(network.module), network.preprocessing, network.classes, f"{network.name}, random weights")
    fresh: set[int] = set()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for part in copy.module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
                fresh |= {id(tensor) for tensor in part.parameters(recurse=False)}
        for weights in copy.module.parameters():
            if id(weights) not in fresh:
                weights.copy_(weights.flatten()[torch.randperm(weights.numel())].view_as(weights))
    return copy.to(network.device).requires_grad_(requires_grad=False).eval()
