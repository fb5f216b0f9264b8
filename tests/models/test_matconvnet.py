import json

import numpy as np
import pytest
import torch
from scipy.io import savemat

from deepinside.models.convnet import ConvNet
from deepinside.models.matconvnet import vgg_f
from deepinside.models.saved import save
from deepinside.pipeline.configuration import composed

SIZE, KERNEL = 63, 11  # 14 -> 7 -> 3 -> 1 at stride 4
NAMES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
IDS = ("n03000000", "n01440764", "n02000000")  # not in sorted order


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = {"widths": (4, 6, 5, 5, 6), "hidden": (8, 7), "kernel": KERNEL, "input": SIZE}
        module = ConvNet(3, **shape).eval()
        for parameter in module.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))  # biases too
        return module


def struct(**fields):
    value = np.empty((1, 1), dtype=[(name, object) for name in fields])
    for name, field in fields.items():
        value[name][0, 0] = field
    return value


def cell(*items):
    value = np.empty((1, len(items)), dtype=object)
    for i, item in enumerate(items):
        value[0, i] = item
    return value


def layers(net, old=False, **changes):
    made = []
    for i, name in enumerate(NAMES):
        made += block(net, i, name, old)
    made.append(struct(type="softmax", name="prob"))
    for index, fields in changes.items():
        for key, field in fields.items():
            made[int(index[1:])][key][0, 0] = field
    return cell(*made)


def block(net, i, name, old):
    part = getattr(net, name)
    filters, bias = part.weight.detach().numpy(), part.bias.detach().numpy().reshape(1, -1)
    if name == "fc6":
        filters = filters.reshape(len(filters), 6, 1, 1)
    filters = filters.reshape(*filters.shape[:2], *(filters.shape[2:] or (1, 1))).transpose(2, 3, 1, 0)
    held = {"filters": filters, "biases": bias} if old else {"weights": cell(filters, bias)}
    pad = np.array(
        [[(0, 2, 1, 1, 1, 0, 0, 0)[i]] * (1 if i % 2 else 4)], dtype=float
    )  # scalar or top bottom left right
    conv = struct(type="conv", name=name, stride=np.array([[4.0 if i == 0 else 1.0] * 2]), pad=pad, **held)
    made = [conv] if name == "fc8" else [conv, struct(type="relu", name=f"relu{i}")]
    if i < 2:
        param = np.array([[5, 2, 1e-4, 0.75]])  # N KAPPA ALPHA BETA; alpha is not divided by N
        made.append(struct(type="normalize" if old else "lrn", name=f"norm{i}", param=param))
    if i in {0, 1, 4}:
        pooled = {"pool": np.array([[3.0, 3]]), "stride": np.array([[2.0]]), "pad": np.array([[0.0, 1, 0, 1]])}
        made.append(struct(type="pool", name=f"pool{i}", method="max", **pooled))
    return made


def average(scale=1.0):
    image = np.zeros((SIZE, SIZE, 3))
    image[: SIZE // 3] = [240.0, 120, 60]  # spatial mean a third of it: 80, 40, 20 RGB
    return image * scale


def write(path, net, layout="new", **changes):
    normalization = struct(
        imageSize=np.array([[SIZE, SIZE, 3.0]]),
        averageImage=average(),
        border=np.array([[9.0, 9.0]]),
        interpolation="bicubic",
    )
    classes = struct(name=cell(*IDS), description=cell("crane, lifting", "tench, Tinca tinca", "crane, bird"))
    if layout == "old":
        savemat(path, {"layers": layers(net, old=True), "normalization": normalization, "classes": classes})
        return path
    held = {"layers": layers(net, **changes), "meta": struct(normalization=normalization, classes=classes)}
    savemat(path, {"net": struct(**held)} if layout == "wrapped" else held)
    return path


@pytest.mark.parametrize("layout", ["new", "old", "wrapped"])
def test_the_same_scores_as_the_network_that_was_written(tmp_path, net, layout):
    read = vgg_f(weights=str(write(tmp_path / "f.mat", net, layout)))
    images = torch.rand(3, 3, SIZE, SIZE)
    expected = net(images * 255 - torch.tensor([80.0, 40, 20]).view(1, 3, 1, 1))  # RGB, bytes, no std
    np.testing.assert_allclose(read(images), expected[:, [1, 2, 0]].detach(), rtol=1e-4, atol=1e-4)
    assert read.classes == ("tench", "crane", "crane")  # in the order of the ids
    told = read.preprocessing
    assert (told.input, told.resize, told.bgr, told.scale, told.interpolation) == (63, 72, False, 255, "bicubic")
    np.testing.assert_allclose(told.mean, (80, 40, 20))
    assert "relu5" in read.layers


def test_alpha_is_multiplied_by_size_for_torch(tmp_path, net):
    norm = vgg_f(weights=str(write(tmp_path / "f.mat", net))).module.norm2
    assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, pytest.approx(5e-4), 0.75, 2)


def test_the_users_preprocessing_and_names_win(tmp_path, net):
    path = str(write(tmp_path / "f.mat", net))
    read = vgg_f(weights=path, classes=("a", "b", "c"), resize=80, mean=None, interpolation="bilinear")
    assert (read.classes, read.preprocessing.resize, read.preprocessing.interpolation) == (
        ("a", "b", "c"),
        80,
        "bilinear",
    )
    with pytest.raises(ValueError, match="are for 3 classes"):
        vgg_f(weights=path, classes=("a", "b"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"l0": {"stride": np.array([[4.0]]), "pad": np.array([[1.0]])}}, "pads"),
        ({"l3": {"pad": np.array([[1.0, 0, 1, 0]])}}, "padded below and right at most"),
        ({"l3": {"method": "avg"}}, "max-pools"),
        ({"l2": {"param": np.array([[3, 2, 1e-4, 0.75]])}}, "one response normalisation for both"),
        ({"l1": {"type": "sigmoid"}}, "sigmoid"),
    ],
)
def test_other_networks_are_refused(tmp_path, net, change, told):
    with pytest.raises(ValueError, match=rf"f\.mat: .*{told}"):
        vgg_f(weights=str(write(tmp_path / "f.mat", net, **change)))


def test_other_files_are_refused(tmp_path, net):
    (tmp_path / "text.mat").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.mat is no MATLAB file .*imagenet-vgg-f\.mat"):
        vgg_f(weights=str(tmp_path / "text.mat"))
    savemat(tmp_path / "other.mat", {"x": np.zeros(3)})
    with pytest.raises(ValueError, match=r"other\.mat: expected CNN-F.*got no layers"):
        vgg_f(weights=str(tmp_path / "other.mat"))
    path = write(tmp_path / "nan.mat", net, l0={"weights": cell(np.full((11, 11, 3, 4), np.nan), np.zeros((1, 4)))})
    with pytest.raises(ValueError, match=r"nan\.mat holds NaN or infinite weights in conv1\.weight"):
        vgg_f(weights=str(path))
    with pytest.raises(FileNotFoundError, match=r"model\.weights=FILE"):
        vgg_f(weights=str(tmp_path / "none.mat"))


def test_the_files_own_preprocessing_is_kept_with_the_network(tmp_path, net):
    read = vgg_f(write(tmp_path / "f.mat", net))
    cfg = composed(["model=vgg_f", f"model.weights={tmp_path / 'f.mat'}"])
    save(read, cfg.model, tmp_path)
    kept = json.loads((tmp_path / "network.json").read_text())["model"]
    assert kept["mean"] == pytest.approx([80, 40, 20])  # of the file, which is not at hand when the network is reopened
    assert (kept["input"], kept["resize"], kept["interpolation"]) == (63, 72, "bicubic")
