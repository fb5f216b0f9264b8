import pytest
import torch
import torchvision
from torch import nn

from deepinside.dissection.layers import survey_layers
from deepinside.dissection.upsample import field_knots
from deepinside.network import Network, Preprocessing
from deepinside.probe import convolutional, last_maps


def network(*parts, **named):
    module = nn.Sequential(*parts)
    for name, part in named.items():
        module.add_module(name, part)
    return Network(module, Preprocessing(), ("a",), "small")


def caffenet():
    """The geometry of CaffeNet, with two channels everywhere."""

    def pool():
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return network(
        conv1=nn.Conv2d(3, 2, 11, 4), relu1=nn.ReLU(), pool1=pool(),
        conv2=nn.Conv2d(2, 2, 5, padding=2), relu2=nn.ReLU(), pool2=pool(),
        conv3=nn.Conv2d(2, 2, 3, padding=1), relu3=nn.ReLU(),
        conv4=nn.Conv2d(2, 2, 3, padding=1), relu4=nn.ReLU(),
        conv5=nn.Conv2d(2, 2, 3, padding=1), relu5=nn.ReLU(), pool5=pool(),
    )  # fmt: skip


def knots(layer, axis, image, target):
    field = layer.field
    return field_knots(
        layer.maps[image][axis], target, image[axis], field.size[axis], field.stride[axis], field.offset[axis]
    )


def test_caffenet_conv5_at_227():
    (layer,) = survey_layers(caffenet(), ["relu5"], [(227, 227)])
    assert (layer.units, layer.maps) == (2, {(227, 227): (13, 13)})
    assert knots(layer, 0, (227, 227), 113).tolist() == list(range(8, 105, 8))


def test_vgg16_conv5_3_at_224():
    parts = []
    for convs in (2, 2, 3, 3, 3):
        for _ in range(convs):
            parts += [nn.Conv2d(2 if parts else 3, 2, 3, padding=1), nn.ReLU()]
        parts.append(nn.MaxPool2d(2, 2))
    found = network(*parts)
    name = convolutional(found)[-1]
    (layer,) = survey_layers(found, [name], [(224, 224)])
    assert knots(layer, 1, (224, 224), 112).tolist() == list(range(4, 109, 8))


def test_all_convolutions_after_their_relus():
    assert convolutional(caffenet()) == ("relu1", "relu2", "relu3", "relu4", "relu5")


def test_norms_are_skipped_and_other_parts_are_not():
    block = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU6())
    found = network(nn.Conv2d(3, 2, 1), nn.MaxPool2d(2), nn.ReLU(), block, nn.Conv2d(2, 2, 1))
    assert convolutional(found) == ("0", "3.2", "4")
    with pytest.raises(ValueError, match="no convolutional layer"):
        convolutional(network(nn.Flatten()))


@pytest.mark.parametrize(
    ("arch", "layer", "units"),
    [
        ("alexnet", "features.11", 256),  # not the pool after it, and not `features`, which ends in that pool
        ("vgg16", "features.29", 512),
        ("squeezenet1_0", "features.12", 512),  # not the convolution that makes the class scores
        ("resnet18", "layer4.1", 512),  # its ReLU runs twice
        ("googlenet", "inception5b", 1024),  # four convolutions side by side
    ],
)
def test_the_last_maps_of_known_networks(arch, layer, units):
    options = {"init_weights": False, "aux_logits": False} if arch == "googlenet" else {}
    with torch.device("meta"):
        module = torchvision.models.get_model(arch, weights=None, **options)
    module = module.to_empty(device="cpu")
    for weights in (*module.parameters(), *module.buffers()):
        weights.detach().zero_()  # drawing them would take seconds
    found = Network(module, Preprocessing(), ("a",) * 1000, arch)
    assert last_maps(found) == layer
    assert not any(part._forward_hooks for part in found.modules())
    (surveyed,) = survey_layers(found, [layer], [(224, 256)])
    assert surveyed.units == units


def test_a_network_without_maps_before_its_scores():
    with pytest.raises(ValueError, match="name the layers"):
        last_maps(network(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)))


def test_sizes_of_maps_by_size_of_picture():
    layers = survey_layers(caffenet(), ["relu3", "relu1"], [(99, 131), (131, 99), (99, 131)])
    assert [layer.name for layer in layers] == ["relu3", "relu1"]
    assert layers[1].maps == {(99, 131): (23, 31), (131, 99): (31, 23)}


def test_refuses():
    with pytest.raises(KeyError, match="did you mean 'relu5'"):
        survey_layers(caffenet(), ["rellu5"], [(227, 227)])
    flat = network(nn.Conv2d(3, 2, 8), nn.Flatten(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"'1' has activations of shape \(1, 2\)"):
        survey_layers(flat, ["1"], [(8, 8)])
    with pytest.raises(ValueError, match=r"4x9.*dissect\.input"):
        survey_layers(caffenet(), ["relu5"], [(4, 9)])


def test_leaves_the_network_as_it_was():
    found = caffenet()
    before = [name for name, _ in found.named_modules()]
    survey_layers(found, ["relu5"], [(99, 99)])
    assert [name for name, _ in found.named_modules()] == before
    assert not any(part._forward_hooks for part in found.modules())
    assert torch.is_grad_enabled()
