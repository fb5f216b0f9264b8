"""The same features in another basis: is it the units that mean something, or the space that they span?"""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import schur
from torch import Tensor

from deepinside.network import Network


def rotation(units: int, power: float, seed: int) -> Float[Tensor, "u u"]:
    """Q^a with Q uniform on SO(u): Q = Z diag(exp(i t)) Z*, Q^a = Z diag(exp(i a t)) Z*, t in (-pi, pi].

    Q is the orthogonal factor of a Gaussian matrix whose triangular factor has a positive diagonal, one row negated
    where its determinant is -1. A normal matrix has a diagonal complex Schur form, and its eigenvalues come in
    conjugate pairs, so that Q^a is real and orthogonal.

    Args:
        units: u, at least 1.
        power: a; 0 gives the identity, 1 gives Q.
        seed: of Q.

    Returns:
        (u, u), float64.

    Source: Bau et al. 2017, sec. 3.2 and fig. 4.
    """
    full, triangle = np.linalg.qr(np.random.default_rng(seed).standard_normal((units, units)))
    full = full * np.sign(np.diag(triangle))
    if np.linalg.det(full) < 0:
        full[0] *= -1
    return torch.from_numpy(_power(full, power))


def _power(matrix: Float[ndarray, "u u"], power: float) -> Float[ndarray, "u u"]:
    triangle, basis = schur(matrix, output="complex")
    angles = np.angle(np.diag(triangle))
    return np.ascontiguousarray(((basis * np.exp(1j * power * angles)) @ basis.conj().T).real)


def turned(maps: Float[Tensor, "n u h w"], turn: Float[Tensor, "u u"]) -> Float[Tensor, "n u h w"]:
    """Q f(x) at every position.

    Args:
        maps: f(x), (n, u, h, w).
        turn: Q, (u, u).

    Returns:
        (n, u, h, w), of the maps' type.
    """
    return torch.einsum("vu,nuhw->nvhw", turn.to(maps.device, maps.dtype), maps).contiguous()


def logits_moved(
    network: Network, layer: str, turn: Float[Tensor, "u u"], images: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, " n"]:
    """How far the scores move when a layer's maps are multiplied by Q and the rest of the network takes Q back.

    Q^T stands before whatever follows the layer, and not folded into its weights, for a maximum pool may be the next;
    where a convolution is, the two are the same by the rules of matrix products.

    Args:
        network: whose layer.
        layer: dotted name.
        turn: Q, (u, u).
        images: RGB in [0, 1], (n, 3, h, w).

    Returns:
        The largest change of a picture's scores, in standard deviations of them, (n,).

    Source: Bau et al. 2017, sec. 3.2 ("does not change the discriminative power").
    """

    def there_and_back(_module: object, _inputs: object, maps: Float[Tensor, "n u h w"]) -> Float[Tensor, "n u h w"]:
        return turned(turned(maps, turn), turn.T)

    plain = network.scores(images)
    handle = network.layer(layer).register_forward_hook(there_and_back)
    try:
        moved = network.scores(images)
    finally:
        handle.remove()
    return ((moved - plain).abs().amax(dim=1) / plain.std(dim=1)).cpu()
