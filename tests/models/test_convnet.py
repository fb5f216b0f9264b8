import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import max_pool2d

from deepinside.models.checkpoint import class_names, output_count
from deepinside.models.convnet import ConvNet, convnet, feature_sides

TINY = {"widths": (4, 6, 6, 6, 5), "hidden": (8, 7), "kernel": 5, "stride": 2, "input": 48}


@pytest.fixture(scope="module")
def full():
    with torch.device("meta"):  # shapes without 61 million numbers
        return ConvNet()


def test_full_size_sides_are_those_of_cnn_f(full):
    sides, x = {}, torch.empty(1, 3, 224, 224, device="meta")
    for name, part in full.eval().named_children():
        x = part(x)
        sides[name] = tuple(x.shape[1:])
    assert sides["conv1"] == (64, 54, 54)
    assert sides["pool1"] == (64, 27, 27)
    assert sides["conv2"] == (256, 27, 27)
    assert sides["pool2"] == (256, 13, 13)
    assert sides["conv3"] == sides["conv4"] == sides["conv5"] == (256, 13, 13)
    assert sides["pool5"] == (256, 6, 6)
    assert sides["fc6"] == sides["fc7"] == (4096,)
    assert sides["fc8"] == (1000,)


def test_full_size_parameter_count_by_hand(full):
    filters = 11 * 11 * 3 * 64 + 5 * 5 * 64 * 256 + 3 * (3 * 3 * 256 * 256)
    matrices = 6 * 6 * 256 * 4096 + 4096 * 4096 + 4096 * 1000
    biases = 64 + 4 * 256 + 2 * 4096 + 1000
    assert sum(p.numel() for p in full.parameters()) == filters + matrices + biases == 60_834_536


def test_layers_are_named_in_the_order_of_the_forward_pass(full):
    names = "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 flatten"
    assert [name for name, _ in full.named_children()] == [
        *names.split(),
        *["fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"],
    ]
    batch = [name for name, _ in ConvNet(3, normalisation="batch", **TINY).named_children()]
    assert batch[:4] == ["conv1", "norm1", "relu1", "pool1"]
    assert batch[-9:] == ["fc6", "norm6", "relu6", "drop6", "fc7", "norm7", "relu7", "drop7", "fc8"]


def test_response_normalisation_divides_alpha_by_size():
    x = torch.arange(1.0, 8.0, dtype=torch.float64).view(1, 7, 1, 1)  # channels 1..7
    norm = ConvNet(2, **TINY).norm1
    # channel 3 (value 4) sums over channels 1..5, values 2..6
    assert norm(x)[0, 3, 0, 0].item() == pytest.approx(4 / (2 + 5e-4 / 5 * (4 + 9 + 16 + 25 + 36)) ** 0.75, rel=1e-12)
    # channel 0 (value 1) sums over channels 0..2 only; the divisor stays 5
    assert norm(x)[0, 0, 0, 0].item() == pytest.approx(1 / (2 + 5e-4 / 5 * (1 + 4 + 9)) ** 0.75, rel=1e-12)


@given(st.integers(16, 300), st.sampled_from([(11, 4), (7, 2), (5, 2), (7, 3), (3, 1)]))
@settings(max_examples=60, deadline=None)
def test_sides_are_those_that_torch_computes(side, first):
    kernel, stride = first
    try:
        sides = feature_sides(side, kernel, stride)
    except ValueError:
        return
    x = torch.empty(1, 1, side, side, device="meta")
    x = nn.functional.conv2d(x, torch.empty(1, 1, kernel, kernel, device="meta"), stride=stride)
    assert x.shape[-1] == sides["conv1"]
    for name in ("pool1", "pool2", "pool5"):
        x = max_pool2d(x, 3, 2, ceil_mode=True)
        assert x.shape[-1] == sides[name]


def test_ceil_pooling_keeps_the_last_column():
    pool = ConvNet(2, **TINY).pool1
    x = torch.zeros(1, 1, 4, 6)
    x[0, 0, 3, 5] = 7.0  # only the cut-off window at the lower right sees it
    assert pool(x).shape == (1, 1, 2, 3)
    assert pool(x)[0, 0].tolist() == [[0, 0, 0], [0, 0, 7]]


def test_forward_against_plain_numpy():
    torch.manual_seed(0)
    net = ConvNet(3, widths=(2, 3, 2, 2, 2), hidden=(4, 3), kernel=3, stride=2, input=25).double().eval()
    image = torch.rand(1, 3, 25, 25, dtype=torch.float64)
    x = image[0].numpy()
    for i, (stride, pad) in enumerate([(2, 0), (1, 2), (1, 1), (1, 1), (1, 1)], start=1):
        conv = getattr(net, f"conv{i}")
        x = np.maximum(_correlated(x, conv.weight.detach().numpy(), conv.bias.detach().numpy(), stride, pad), 0)
        x = _pooled(_normalised(x) if i < 3 else x) if i in {1, 2, 5} else x
    x = x.reshape(-1)
    for name in ("fc6", "fc7", "fc8"):
        fc = getattr(net, name)
        x = fc.weight.detach().numpy() @ x + fc.bias.detach().numpy()
        x = x if name == "fc8" else np.maximum(x, 0)
    np.testing.assert_allclose(net(image)[0].detach().numpy(), x, rtol=1e-10)


def _correlated(x, filters, bias, stride, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    side = filters.shape[-1]
    rows = range(0, x.shape[1] - side + 1, stride)
    return np.array(
        [
            [[(x[:, r : r + side, c : c + side] * f).sum() + b for c in rows] for r in rows]
            for f, b in zip(filters, bias, strict=True)
        ]
    )


def _normalised(x):
    sums = [sum(x[j] ** 2 for j in range(max(0, i - 2), min(len(x), i + 3))) for i in range(len(x))]
    return x / (2 + 5e-4 / 5 * np.array(sums)) ** 0.75


def test_columns_do_not_see_one_another():
    widths = (4, 6, 6, 6, 6)
    net = ConvNet(2, groups=2, **(TINY | {"widths": widths})).eval()
    assert [net.get_submodule(f"conv{i}").groups for i in range(1, 6)] == [1, 2, 1, 2, 2]
    x = torch.rand(1, widths[0], 9, 9)
    other = x.clone()
    other[:, : widths[0] // 2] += 1
    moved = (net.conv2(other) - net.conv2(x)).abs().amax(dim=(0, 2, 3)) > 0
    assert moved[: widths[1] // 2].all()
    assert not moved[widths[1] // 2 :].any()
    with pytest.raises(ValueError, match="groups=2"):
        ConvNet(2, groups=2, **TINY)


def _pooled(x):
    starts = range(0, x.shape[1] - 1 if x.shape[1] % 2 == 0 else x.shape[1] - 2, 2)
    return np.array([[[m[r : r + 3, c : c + 3].max() for c in starts] for r in starts] for m in x])


def test_what_cannot_be_built_is_said():
    with pytest.raises(ValueError, match=r"leaves 2 before pool5.*enlarge the input"):
        feature_sides(40)
    with pytest.raises(ValueError, match="5 widths and at most 2 hidden"):
        ConvNet(2, **(TINY | {"widths": (1, 2)}))
    with pytest.raises(ValueError, match=r"lrn, batch, none, got 'group'"):
        ConvNet(2, normalisation="group", **TINY)


def test_the_builder_takes_names_from_the_data_and_sizes_from_the_weights(tmp_path):
    from deepinside.models.checkpoint import save_weights

    keys = TINY | {"resize": 52, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    net = convnet(classes=("cat", "dog"), **keys)
    assert net.classes == ("cat", "dog")
    assert net.preprocessing.input == 48
    save_weights(net.module, tmp_path / "a.safetensors")
    again = convnet(weights=str(tmp_path / "a.safetensors"), **keys)
    x = torch.rand(2, 3, 48, 48)
    assert again.classes == ("class 0", "class 1")
    assert torch.equal(again(x), net(x))
    with pytest.raises(ValueError, match=r"weights are for 2 classes .* data have 3"):
        convnet(classes=("a", "b", "c"), weights=str(tmp_path / "a.safetensors"), **keys)


def test_random_weights_follow_the_seed():
    def built(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return convnet(classes=("a", "b"), resize=48, **TINY).module.conv5.weight

    assert torch.equal(built(3), built(3))
    assert not torch.equal(built(3), built(4))


def test_imagenets_names_are_those_of_a_thousand_outputs():
    names = class_names(None, 1000)
    assert names[0] == "tench"
    assert names[281:286] == ("tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat")
    assert class_names(None, 3) == ("class 0", "class 1", "class 2")
    assert output_count(None, None, "fc8.bias") == 1000
    with pytest.raises(ValueError, match="3 scores and the data have 1 classes"):
        class_names(("a",), 3)
