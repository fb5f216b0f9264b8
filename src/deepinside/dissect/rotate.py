"""The same features in another basis: is it the units that mean something, or the space that they span?"""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import schur
from torch import Tensor


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
