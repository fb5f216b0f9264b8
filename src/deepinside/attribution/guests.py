"""Attribution methods of other libraries: captum, zennit and pytorch-grad-cam, each imported only when it is chosen.

Images are RGB in [0, 1] on the way in, maps have the size of the image on the way out; what a library returns per
channel is added up. zennit is published under the LGPL-3: it is imported, and nothing of it is copied.
"""

import importlib
import inspect
import warnings
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from deepinside.methods.grad_cam import spatial_layer
from deepinside.network import Network
from deepinside.spelling import closest

Work = Callable[[Network, Float[Tensor, "1 3 h w"], int, int], Float[ndarray, "h w"]]

_INSTALL = "pip install 'deepinside[guests]'"
_HOOKED = {"GuidedBackprop", "Deconvolution", "DeepLift", "DeepLiftShap", "LRP"}  # captum's that replace ReLU modules
_RELUS = (functional.relu, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_, functional.relu6)


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        library = name.partition(".")[0]
        raise ModuleNotFoundError(f"benchmark.methods: {library} is not installed: {_INSTALL}") from error


def _settled(kind: str, arguments: Mapping[str, Any], *functions: Callable) -> list[dict[str, Any]]:
    # The arguments of each function, by its signature.
    names = [set(inspect.signature(function).parameters) for function in functions]
    for key in arguments:
        if not any(key in known for known in names):
            known = sorted(set().union(*names) - {"self", "inputs", "target", "forward_func", "model", "layer"})
            raise KeyError(f"benchmark.arguments.{kind}: no argument {key!r}; {closest(key, known)}")
    return [{key: _tuples(value) for key, value in arguments.items() if key in known} for known in names]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@contextmanager
def _seeded(seed: int) -> Generator[None]:
    with torch.random.fork_rng(), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks that a library removes again
        torch.manual_seed(seed)
        yield


class _Count(TorchFunctionMode):
    # How often a rectifier is called, by whatever name.
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self._inside = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        own = func in _RELUS and not self._inside
        self.calls += own
        self._inside = self._inside or own  # functional.relu calls torch.relu
        try:
            return func(*args, **(kwargs or {}))
        finally:
            if own:
                self._inside = False


def check_modules(network: Network, image: Float[Tensor, "1 3 h w"], method: str) -> None:
    """Checks that every rectifier is a module of its own, used once: what a library replaces by hooks on modules.

    Args:
        network: to look into.
        image: RGB in [0, 1].
        method: name, for the message.

    Raises:
        ValueError: if some rectifier is a function or is used more than once.
    """
    rectifiers = [part for part in network.modules() if isinstance(part, nn.ReLU | nn.ReLU6)]
    used: dict[int, int] = {}
    handles = [part.register_forward_hook(lambda part, *_: used.update({id(part): used.get(id(part), 0) + 1}))
               for part in rectifiers]  # fmt: skip
    try:
        with torch.no_grad(), _Count() as counted:
            network(image.to(network.device))
    finally:
        for handle in handles:
            handle.remove()
    if counted.calls > sum(used.values()) or any(times > 1 for times in used.values()):
        raise ValueError(
            f"{method} replaces the rule of ReLU modules, and {network.name} calls ReLUs that are functions or are "
            "used more than once, which it would miss without a word: choose guided or deconvnet of this package, "
            "whose rules hold for them too"
        )


def _layer(network: Network, name: str | None, image: Tensor) -> nn.Module:
    return network.layer(name or spatial_layer(network, image))


def _captum_class(kind: str) -> Any:
    attr = _library("captum.attr")
    base = importlib.import_module("captum.attr._utils.attribution")
    possible: dict[str, Any] = {
        name: one
        for name, one in vars(attr).items()
        if inspect.isclass(one) and issubclass(one, base.Attribution) and "attribute" in vars(one)
        and "target" in inspect.signature(one.attribute).parameters  # type: ignore[attr-defined]
        and not issubclass(one, base.NeuronAttribution)
        and {"forward_func", "model"} & set(inspect.signature(one).parameters)
    }  # fmt: skip
    if kind not in possible and inspect.isclass(getattr(attr, kind, None)):
        raise ValueError(
            f"captum.{kind} attributes to something else than an image's pixels or one layer: choose one of "
            f"{', '.join(sorted(possible))}"
        )
    if kind not in possible:
        raise KeyError(f"captum has no class {kind!r}; {closest(kind, sorted(possible))}")
    return possible[kind]


def captum(kind: str, arguments: Mapping[str, Any]) -> Work:
    """A class of `captum.attr` that attributes to the input or to one layer.

    Args:
        kind: name of the class, e.g. `IntegratedGradients`.
        arguments: of its constructor and of its `attribute`; `layer`, by its dotted name, for classes of a layer.

    Returns:
        Network, image, class and seed -> the attribution, summed over channels; that of a layer bilinear at the size
        of the image, as `captum.attr.LayerAttribution.interpolate` has it.

    Raises:
        KeyError: if there is no such class or argument, with the closest names.
        ModuleNotFoundError: if captum is not installed.
        ValueError: for a class that attributes to something else, such as a neuron or words.
    """
    chosen = _captum_class(kind)
    layered = "layer" in inspect.signature(chosen).parameters
    layer = arguments.get("layer")
    rest = {key: value for key, value in arguments.items() if key != "layer"}
    built, asked = _settled(f"captum.{kind}", rest, chosen, chosen.attribute)
    needed = {
        key for key, one in inspect.signature(chosen.attribute).parameters.items()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD and key not in {"self", "inputs"}
    }  # fmt: skip
    _expect_all(f"captum.{kind}", needed - {"target", "baselines"} - asked.keys())
    if "internal_batch_size" in inspect.signature(chosen.attribute).parameters:
        asked = {"internal_batch_size": 8} | asked  # of the points of a path, which captum would compute all at once

    def work(network: Network, image: Tensor, target: int, seed: int) -> Float[ndarray, "h w"]:
        if kind.removeprefix("Layer") in _HOOKED:
            check_modules(network, image, f"captum.{kind}")
        first = [network, _layer(network, layer, image)] if layered else [network]
        inputs = image.to(network.device).clone().requires_grad_()
        more = {"baselines": _usual(network, inputs)} if "baselines" in needed else {}
        with _seeded(seed):
            found = chosen(*first, **built).attribute(inputs, target=target, **(more | asked))
        found = (found[0] if isinstance(found, tuple) else found).detach().sum(dim=1, keepdim=True)
        if layered and found.ndim != 4:
            raise ValueError(f"captum.{kind}: expected maps (n, u, y, x) of layer {layer!r}, got none: name another")
        if layered:
            found = functional.interpolate(found, size=tuple(image.shape[2:]), mode="bilinear")
        return _array(found[0, 0])

    return work


def _usual(network: Network, image: Tensor) -> Tensor:
    # Two images of one colour, where a distribution of baselines is asked for: black and the network's mean.
    mean = network.preprocessing.colour.to(image).view(1, 3, 1, 1).expand_as(image)
    return torch.cat([torch.zeros_like(image), mean]).detach()


def _expect_all(name: str, missing: Collection[str]) -> None:
    if missing:
        first = sorted(missing)[0]
        raise ValueError(f"{name} needs the argument {first}: benchmark.arguments.{name}.{first}=...")


def zennit(kind: str, arguments: Mapping[str, Any]) -> Work:
    """A composite of `zennit`: layer-wise relevance propagation and its relatives.

    Batch normalisation is merged into the convolution before it by zennit's canonizer.

    Args:
        kind: name of the class, e.g. `EpsilonPlus`.
        arguments: of its constructor.

    Returns:
        Network, image, class and seed -> the relevance of the network's normalised input, summed over channels.

    Raises:
        KeyError: if there is no such composite or argument, with the closest names.
        ModuleNotFoundError: if zennit is not installed.
    """
    composites = _library("zennit.composites")
    canonizers = importlib.import_module("zennit.canonizers")
    attribution = importlib.import_module("zennit.attribution")
    possible: dict[str, Any] = {one.__name__: one for one in composites.COMPOSITES.values()}
    if kind not in possible:
        raise KeyError(f"zennit has no composite {kind!r}; {closest(kind, sorted(possible))}")
    (built,) = _settled(f"zennit.{kind}", arguments, possible[kind])
    boxed = "low" in inspect.signature(possible[kind]).parameters  # a rule for inputs of known range

    def work(network: Network, image: Tensor, target: int, seed: int) -> Float[ndarray, "h w"]:
        check_modules(network, image, f"zennit.{kind}")
        inputs = network.normalise(image.to(network.device)).detach()
        box = {"low": torch.zeros_like(image), "high": torch.ones_like(image)} if boxed else {}
        ends = {key: network.normalise(one.to(network.device)) for key, one in box.items()}
        with _seeded(seed):
            composite = possible[kind](**ends, canonizers=[canonizers.SequentialMergeBatchNorm()], **built)
            chosen = torch.eye(len(network.classes), device=inputs.device)[[target]]
            with attribution.Gradient(model=network.module, composite=composite) as attributor:
                _, relevance = attributor(inputs, chosen)
        return _array(relevance[0].detach().sum(dim=0))

    return work


def pytorch_grad_cam(kind: str, arguments: Mapping[str, Any]) -> Work:
    """A class activation map of `pytorch-grad-cam`.

    Args:
        kind: name of the class, e.g. `GradCAMPlusPlus`.
        arguments: of its constructor and its call; `layer`, by its dotted name, instead of the last one with
            positions.

    Returns:
        Network, image, class and seed -> the map, which the library scales to [0, 1].

    Raises:
        KeyError: if there is no such class or argument, with the closest names.
        ModuleNotFoundError: if pytorch-grad-cam is not installed.
    """
    library = _library("pytorch_grad_cam")
    base = importlib.import_module("pytorch_grad_cam.base_cam").BaseCAM
    targets = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    possible: dict[str, Any] = {
        name: one for name, one in vars(library).items() if inspect.isclass(one) and issubclass(one, base)
    }
    if kind not in possible:
        raise KeyError(f"pytorch_grad_cam has no class {kind!r}; {closest(kind, sorted(possible))}")
    layer = arguments.get("layer")
    rest = {key: value for key, value in arguments.items() if key != "layer"}
    built, asked = _settled(f"pytorch_grad_cam.{kind}", rest, possible[kind], base.__call__)

    def work(network: Network, image: Tensor, target: int, seed: int) -> Float[ndarray, "h w"]:
        layers = [_layer(network, layer, image)]
        with _seeded(seed), possible[kind](model=network, target_layers=layers, **built) as cam:
            inputs = image.to(network.device).clone().requires_grad_()  # the network's weights are frozen
            found = cam(inputs, targets=[targets.ClassifierOutputTarget(target)], **asked)
        return np.asarray(found[0], dtype=np.float64)

    return work


def _array(map_: Tensor) -> Float[ndarray, "h w"]:
    return map_.cpu().numpy().astype(np.float64)


LIBRARIES: dict[str, Callable[[str, Mapping[str, Any]], Work]] = {
    "captum": captum,
    "zennit": zennit,
    "pytorch_grad_cam": pytorch_grad_cam,
}
