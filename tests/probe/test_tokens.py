"""Tokens of a transformer, laid out as maps."""

import pytest
import torch
from tests.methods.test_activation_maximization import settings
from torchvision.models.vision_transformer import VisionTransformer

from deepinside.methods.activation_maximization import activation_maximization
from deepinside.network import Network, Preprocessing
from deepinside.probe import activations, receptive_fields
from deepinside.probe.activations import on_grid
from deepinside.records import Batch


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    module = VisionTransformer(
        image_size=32, patch_size=8, num_layers=1, num_heads=2, hidden_dim=12, mlp_dim=16, num_classes=3
    )
    return Network(module, Preprocessing(input=32, resize=32), list("abc"), "small ViT")


def test_tokens_are_at_the_places_of_their_patches(network: Network) -> None:
    images = torch.rand(2, 3, 32, 32)
    changed = images.clone()
    changed[:, :, 8:16, 24:32] = 0.5  # the patch of row 1, column 3
    layers = ["encoder.layers.encoder_layer_0.ln_1", "encoder.layers.encoder_layer_0"]
    before, after = activations(network, images, layers), activations(network, changed, layers)
    assert before[layers[0]].shape == before[layers[1]].shape == (2, 12, 4, 4)
    moved = (before[layers[0]] - after[layers[0]]).abs().amax(dim=(0, 1)) > 1e-6
    assert moved.nonzero().tolist() == [[1, 3]]
    assert ((before[layers[1]] - after[layers[1]]).abs().amax(dim=(0, 1)) > 0).all()  # attention mixes all


def test_behind_attention_a_field_is_the_whole_image(network: Network) -> None:
    layers = ["encoder.layers.encoder_layer_0.ln_1", "encoder.layers.encoder_layer_0"]
    first, last = (receptive_fields(network, [layer], (32, 32))[layer] for layer in layers)
    assert first.size == (8, 8)
    assert first.stride == (8, 8)
    assert min(last.size) >= 64


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [
        (196, (224, 224), (14, 14)),
        (197, (224, 224), (14, 14)),
        (201, (224, 224), (14, 14)),
        (1 + 8 * 4, (64, 32), (8, 4)),
        (1, (32, 32), (1, 1)),
        (300, (224, 224), None),
    ],
)
def test_the_grid_is_that_of_square_patches(
    tokens: int, size: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    found = on_grid(torch.rand(2, tokens, 5), size)
    assert found.shape == ((2, tokens, 5) if expected is None else (2, 5, *expected))


def test_maps_and_vectors_stay_as_they_are() -> None:
    for shape in ((2, 5), (2, 5, 3, 3)):
        activation = torch.rand(shape)
        assert on_grid(activation, (32, 32)) is activation


def test_a_unit_of_tokens_is_maximised_in_the_whole_image(network: Network) -> None:
    chosen = settings() | {"layer": "encoder.layers.encoder_layer_0.ln_1", "units": [3], "steps": 20}
    found = activation_maximization(network, Batch(torch.zeros(0, 3, 1, 1), ()), **chosen)
    assert found.values.shape == (1, 3, 32, 32)  # the position embedding takes no other size
    assert found.traces["score"][-1, 0] > found.traces["score"][0, 0]
