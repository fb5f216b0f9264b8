"""Class models: the picture that a class score likes best (Simonyan et al. 2013, sec. 2)."""

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.network import Network
from deepinside.records import Batch, Images

OBJECTIVES = ("score", "softmax")
_PATIENCE = 20  # steps without any gradient, after which a score counts as constant


def class_model(
    network: Network, batch: Batch, *, objective: str, l2: float, steps: int, grey_levels: float, momentum: float
) -> Images:
    """The argmax over I of S_c(I) - l2·||I||², from the zero picture, with the mean added at the end.

    I is the picture minus the network's mean, in grey levels of 0..255, so that `l2` means the same for every network.
    Each step moves the pixels of each picture by `grey_levels` on average, falling linearly to zero over the steps:
    scores of different classes and networks differ by orders of magnitude, and so would plain gradient steps.
    Pictures of a batch do not influence one another. Where nothing at all comes back from a score, as from the blank
    picture in a network whose first layer is silent there, the step goes along white noise of the class's own.

    Args:
        network: any.
        batch: its labels are the classes, one picture each; its pictures are not looked at.
        objective: `score` before softmax, or `softmax` (the logarithm of the probability) for comparison.
        l2: weight of the norm, in score per squared grey level.
        steps: of gradient ascent.
        grey_levels: mean change per pixel of the first step, in 0..255.
        momentum: of the ascent, 0..1, on top of that.

    Returns:
        One picture per class; traces of score, probability (both of the class), norm (root mean square, in grey
        levels), each (steps, n).

    Raises:
        ValueError: if the objective is unknown, the batch has no labels, or a score does not depend on the picture.

    Source: Simonyan et al. 2013, sec. 2, eq. 1.
    Deviation: the paper gives neither step nor weight; the yaml says how ours were found. The noise is ours too.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"expected an objective of {OBJECTIVES}, got {objective!r}")
    if batch.labels is None:
        raise ValueError("expected labels: the classes to draw, got none")
    classes = batch.labels.to(network.device)
    grey = torch.zeros(len(classes), 3, *(2 * [network.preprocessing.input]), device=network.device)
    mean = network.preprocessing.colour.view(1, 3, 1, 1).to(network.device)
    velocity = torch.zeros_like(grey)
    noise = _noise(classes, grey)
    silent = torch.zeros(len(classes), dtype=torch.long, device=grey.device)
    traces: dict[str, list[Tensor]] = {"score": [], "probability": [], "norm": []}
    for step in range(steps):
        scores, gradient = _scores_and_gradient(network, grey, mean, classes, objective)
        traces["score"].append(scores.gather(1, classes[:, None])[:, 0])
        traces["probability"].append(scores.softmax(dim=1).gather(1, classes[:, None])[:, 0])
        traces["norm"].append(grey.square().mean(dim=(1, 2, 3)).sqrt())
        nothing = gradient.abs().mean(dim=(1, 2, 3)) == 0
        silent = torch.where(nothing, silent + 1, 0)
        _refuse(silent >= min(_PATIENCE, steps), network)
        direction = torch.where(nothing[:, None, None, None], noise, gradient - 2 * l2 * grey)
        size = direction.abs().mean(dim=(1, 2, 3), keepdim=True)
        velocity = momentum * velocity + direction / size * grey_levels * (1 - step / steps)
        grey = grey + velocity
    pictures = (mean + grey / 255).clamp(0, 1)
    titles = tuple(network.classes[int(label)] for label in classes)
    return Images(pictures.cpu(), titles, {name: torch.stack(values).cpu() for name, values in traces.items()})


def _scores_and_gradient(
    network: Network,
    grey: Float[Tensor, "n 3 h w"],
    mean: Float[Tensor, "1 3 1 1"],
    classes: Tensor,
    objective: str,
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n 3 h w"]]:
    grey = grey.detach().requires_grad_()
    with torch.enable_grad():
        scores = network(mean + grey / 255)
        values = scores if objective == "score" else scores.log_softmax(dim=1)
        (gradient,) = torch.autograd.grad(values.gather(1, classes[:, None]).sum(), grey)
    return scores.detach(), gradient


def _noise(classes: Tensor, like: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    made = [torch.randn(like.shape[1:], generator=torch.Generator().manual_seed(int(label))) for label in classes]
    return torch.stack(made).to(like) if made else like


def _refuse(silent: Tensor, network: Network) -> None:
    if bool(silent.any()):
        which = silent.nonzero().flatten().tolist()
        raise ValueError(
            f"the score of class number {which} of the batch does not depend on the picture, in {network.name}: "
            "is it dead? Leave the class out, or look for zeros in the weights"
        )
