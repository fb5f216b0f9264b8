"""Rotation of the basis."""

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.dissection.layers import layer_maps, logits_moved, rotation, survey_layers, turned
from deepinside.network import Network, Preprocessing


@pytest.mark.parametrize("units", [1, 2, 5, 8])
def test_powers_are_rotations_between_nothing_and_everything(units):
    whole = rotation(units, 1.0, 3)
    eye = torch.eye(units, dtype=torch.float64)
    for power in (0.0, 0.2, 0.5, 0.9, 1.0):
        turn = rotation(units, power, 3)
        assert turn @ turn.T == pytest.approx(eye, abs=1e-12)
        assert torch.linalg.det(turn) == pytest.approx(1)
    assert rotation(units, 0.0, 3) == pytest.approx(eye, abs=1e-12)
    half, third = rotation(units, 0.5, 3), rotation(units, 1 / 3, 3)
    assert half @ half == pytest.approx(whole, abs=1e-12)
    assert third @ third @ third == pytest.approx(whole, abs=1e-12)


def test_the_whole_rotation_is_the_factor_of_a_gaussian_matrix():
    """Q R = G with positive diagonal R, but for the sign of one row: |Q'G| is triangular with a positive diagonal."""
    gaussian = np.random.default_rng(4).standard_normal((6, 6))
    turn = rotation(6, 1.0, 4).numpy()
    if np.linalg.det(gaussian) < 0:
        turn[0] *= -1
    triangle = turn.T @ gaussian
    assert np.tril(triangle, -1) == pytest.approx(0, abs=1e-12)
    assert (np.diag(triangle) > 0).all()


def test_seeds_differ():
    assert not torch.allclose(rotation(4, 1.0, 0), rotation(4, 1.0, 1))
    assert torch.equal(rotation(4, 0.3, 1), rotation(4, 0.3, 1))


def small():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
    module(torch.zeros(1, 3, 9, 12))
    return Network(module.double(), Preprocessing(), tuple("abcde"), "small").double()


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_logits_do_not_change_when_the_transpose_is_folded_into_the_next_layer(power):
    net = small()
    images = torch.rand(2, 3, 9, 12, dtype=torch.float64)
    (layer,) = survey_layers(small().float(), ["1"], [(9, 12)])
    turned_layer = layer.rotated(power, 1)
    maps = layer_maps(net, images, [turned_layer])["1"]
    plain = layer_maps(net, images, [layer])["1"]
    assert not torch.allclose(maps, plain)
    by_hand = torch.stack([(turned_layer.turn @ one.flatten(1)).view_as(one) for one in plain])
    assert maps == pytest.approx(by_hand, abs=1e-12)
    following = net.layer("2")
    following.weight.copy_(torch.einsum("ouhw,vu->ovhw", following.weight, turned_layer.turn))  # W Q^T
    logits = net.module[2:](maps)
    assert logits == pytest.approx(small()(images), abs=1e-12)


def test_no_rotation_leaves_the_layer_alone():
    (layer,) = survey_layers(small().float(), ["1"], [(9, 12)])
    assert layer.rotated(0.0, 1) is layer
    assert turned(torch.ones(1, 2, 3, 4), torch.eye(2, dtype=torch.float64)).dtype == torch.float32


def test_scores_do_not_move_when_the_rotation_is_taken_back_and_do_when_it_is_not():
    net, images = small(), torch.rand(3, 3, 9, 12, dtype=torch.float64)
    turn = rotation(6, 1.0, 1)
    assert logits_moved(net, "1", turn, images).numpy() == pytest.approx(0, abs=1e-12)
    assert (logits_moved(net, "1", 1.1 * turn, images) > 1e-3).all()  # no rotation: its transpose is not its inverse
    assert not net.layer("1")._forward_hooks
