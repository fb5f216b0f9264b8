"""What `import deepinside as di` offers beside `load`: each function does what a stage of the command line does.

The defaults are those of the command line, read from the same files in `conf`, and so the numbers are the same.

An image is a path, a PIL image, an array (h, w, 3) or a tensor (3, h, w), of bytes or of floats in [0, 1]. Several
images, as a list or as a batch (n, 3, h, w), give a list of results. Results show themselves in a notebook.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import threadpoolctl  # type: ignore[import-untyped]
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from deepinside import views
from deepinside.api import results
from deepinside.api.results import Dissection, Inversion, Localisation, Result, Saliency, Synthesis
from deepinside.data.broden.reader import Broden
from deepinside.data.image import ImageLike, images
from deepinside.defaults import defaults
from deepinside.localisation.crops import viewed
from deepinside.localisation.localiser import last_positions, on_photograph
from deepinside.localisation.segment import segment
from deepinside.localisation.settings import GRAD_CAM, Settings
from deepinside.methods.activation_maximization import activation_maximization
from deepinside.methods.inversion import inversion
from deepinside.network import Network, chosen_class
from deepinside.plots.panels import Figure, on_screen
from deepinside.records import Batch, Boxes, Images, Maps
from deepinside.stages import dissect as dissect_stage
from deepinside.stages import localise as localise_stage
from deepinside.stages.visualise import methods
from deepinside.study import Pictures, Study
from deepinside.visualisation.studies import shown

Found = TypeVar("Found")
Target = str | int
Unit = int | Mapping[int, float]
_TOP = np.float32(255)  # of a byte


def saliency(
    network: Network,
    image: ImageLike | Sequence[ImageLike],
    target: Target | Sequence[Target] | None = None,
    *,
    rule: str | None = None,
    layer: str | None = None,
    unit: int | None = None,
    method: str = "saliency",
    crops: str | None = None,
    **settings: Any,
) -> Saliency | list[Saliency]:
    """Effect of each pixel on the score of a class, or on a unit: max over channels of |dS_c/dI|, as `run=visualise`.

    Args:
        network: of `load`.
        image: one, or several.
        target: name or number of a class, or several; None: the most probable class.
        rule: backward rule of the ReLUs: `gradient`, `deconvnet` or `guided`; None: that of the method.
        layer: dotted name, for a unit instead of a class.
        unit: of that layer.
        method: a choice of `conf/method` that returns maps: `saliency`, `smooth_grad`, `input_x_gradient`, `occlusion`.
        crops: `ten`, `centre` or `warp` (the whole image resized); None: as in `conf/visualise/default.yaml`.
        **settings: keys of `conf/method/<method>.yaml` to change.

    Returns:
        One map per target; a list for several images.

    Raises:
        KeyError: if there is no such class, layer or setting, with the closest names.
        ValueError: if both a target and a layer are named.

    Source: Simonyan et al. 2013, sec. 3.1; Zeiler & Fergus 2014 (`deconvnet`); Springenberg et al. 2015 (`guided`).

    >>> import deepinside as di
    >>> from skimage.data import chelsea
    >>> cat = di.saliency(di.load("efficientnet_lite0"), chelsea(), target="tabby", rule="guided")
    >>> cat.maps.shape, cat.targets
    ((1, 256, 385), ('tabby',))
    """
    if layer is not None and target is not None:
        raise ValueError(f"expected a target or a layer, got target={target!r} and layer={layer!r}: choose one")
    chosen = {key: value for key, value in {"rule": rule, "layer": layer, "unit": unit}.items() if value is not None}
    classes = _classes(network, target)
    function, keys = _method(method, chosen | settings, Maps)
    crops = crops or defaults("visualise", "default")["crops"]
    named = layer if unit is None else f"unit {unit} of {layer}"

    def compute(picture: Tensor, name: str) -> Saliency:
        view = views.crops_of(picture, network.preprocessing, crops)
        shares = network.scores(view.pixels).softmax(dim=1).mean(dim=0).cpu().numpy()
        shown_classes = classes or [int(shares.argmax())]
        found = [views.mapped(network, view, one, partial(function, **keys), name, method) for one in shown_classes]
        return Saliency(
            image=view.canvas.permute(1, 2, 0).numpy(),
            maps=np.stack([map_.numpy() for map_, _ in found]),
            targets=(named,) if named else tuple(network.classes[one] for one in shown_classes),
            probabilities=np.full(1, np.nan) if named else shares[shown_classes],
            signed=found[0][1],
        )

    return _each(compute, image)


def maximise(
    network: Network,
    target: Target | Sequence[Target] | None = None,
    *,
    layer: str | None = None,
    unit: Unit | Sequence[Unit] | None = None,
    method: str = "am_best",
    pictures: Sequence[ImageLike] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Synthesis:
    """The image that maximises a class score, a unit or a direction of a layer, as `run=visualise` synthesises it.

    Args:
        network: of `load`.
        target: name or number of a class, or several.
        layer: dotted name, for a unit instead of a class.
        unit: number, {number: weight, ...} for a direction, or several of these.
        method: a choice of `conf/method` that returns images: `am_best`, `class_model` (Simonyan et al. 2013), ...
        pictures: photographs, for methods that need some.
        seed: of all random numbers.
        **settings: keys of `conf/method/<method>.yaml` to change, such as `steps`; nested ones are merged.

    Returns:
        One image per class or unit.

    Raises:
        KeyError: if there is no such class, layer, method or setting, with the closest names.
        ValueError: if neither a target nor a unit of a layer is named, or both are.

    Source: Simonyan et al. 2013, sec. 2; Erhan et al. 2009; the yaml of each method states its own.

    >>> import deepinside as di
    >>> network = di.load("convnet_micro", weights="random", classes=["cat", "dog"])
    >>> dog = di.maximise(network, "dog", steps=2)
    >>> dog.image.shape, dog.targets
    ((64, 64, 3), ('dog',))
    >>> di.maximise(network, layer="relu3", unit=[0, 5], steps=2).targets
    ('relu3, unit 0', 'relu3, unit 5')
    """
    if (target is None) == (layer is None) or (layer is None) != (unit is None):
        raise ValueError(f"expected target=..., or layer=... and unit=..., got {target!r}, {layer!r} and {unit!r}")
    classes = _classes(network, target)
    function, keys = _method(method, settings, Images, activation_maximization)
    keys |= {"layer": layer, "units": None if unit is None else _listed(unit), "seed": seed}
    if pictures is not None:
        keys["pictures"] = _pictures(network, images(pictures)[0])
    batch = Batch(torch.zeros(len(classes), 3, 1, 1), tuple(map(str, classes)), torch.tensor(classes, dtype=torch.long))
    made: Images = function(network, batch, **keys)
    return Synthesis(
        images=made.values.permute(0, 2, 3, 1).numpy(),
        targets=made.titles,
        table=pd.DataFrame(made.measured),
        traces={name: values.numpy() for name, values in made.traces.items()},
    )


def invert(
    network: Network,
    image: ImageLike | Sequence[ImageLike],
    layer: str | Sequence[str],
    *,
    method: str = "inversion",
    seed: int = 0,
    **settings: Any,
) -> Inversion | list[Inversion]:
    """An image whose features at a layer match those of a given image, as `run=visualise` computes it.

    Args:
        network: of `load`.
        image: one, or several; the centre crop is inverted.
        layer: dotted name, or several; `probabilities` is the code after softmax.
        method: a choice of `conf/method`: `inversion` (Mahendran & Vedaldi 2015) or `inversion_2016`.
        seed: of the starts.
        **settings: keys of `conf/method/<method>.yaml` to change.

    Returns:
        One image per layer; a list for several images.

    Raises:
        KeyError: if there is no such layer or setting, with the closest names.

    Source: Mahendran & Vedaldi 2015, eq. 1.

    >>> import deepinside as di
    >>> from skimage.data import chelsea
    >>> network = di.load("convnet_micro", weights="random")
    >>> cat = di.invert(network, chelsea(), "relu3", octaves=[{"steps": 5}])
    >>> cat.image.shape, cat.layers
    ((64, 64, 3), ('relu3',))
    """
    photographs, several = images(image)
    layers = tuple(_listed(layer))
    function, keys = _method(method, settings, Study, inversion)
    keys |= {"layers": layers, "images": len(photographs), "seed": seed}
    pictures = _pictures(network, photographs)
    study: Study = function(network, pictures, **keys)
    table = study.table[(study.table["repeat"] == 0) & (study.table["way"] == "optimised")]
    made = np.stack([study.shown[f"optimised.{name}"][0] for name in layers], axis=1)
    found = [
        Inversion(original / _TOP, own / _TOP, layers, table[table["picture"] == name].reset_index(drop=True))
        for name, original, own in zip(pictures.names, study.shown["originals"], made, strict=True)
    ]
    return found if several else found[0]


def localise(
    network: Network,
    image: ImageLike | Sequence[ImageLike],
    target: Target | Sequence[Target] | None = None,
    *,
    preset: str = "simonyan2013",
    **settings: Any,
) -> Localisation | list[Localisation]:
    """The box of the object of a class, from a network trained on class labels alone, as `run=localise` computes it.

    Args:
        network: of `load`.
        image: one, or several.
        target: name or number of a class, or several; None: the `top` most probable classes.
        preset: a choice of `conf/localise`: `simonyan2013` (the paper's GraphCut) or `best`.
        **settings: keys of `conf/localise/<preset>.yaml` to change; `map` replaces that of the preset.

    Returns:
        One box per class; a list for several images.

    Raises:
        KeyError: if there is no such class, preset, setting or method, with the closest names.
        ValueError: if a setting is out of range, or a method of `map` returns no maps.

    Source: Simonyan et al. 2013, sec. 3.2.

    >>> import deepinside as di
    >>> from skimage.data import chelsea
    >>> cat = di.localise(di.load("efficientnet_lite0"), chelsea(), "tabby", crops="centre")
    >>> cat.boxes.shape, cat.targets, bool(cat.found[0])
    ((1, 4), ('tabby',), True)
    """
    options = defaults("localise", preset, settings)
    options["map"] = settings.get("map", options["map"])
    localise_stage.check(OmegaConf.create({"localise": options}))
    grid = Settings.of(options)
    viewing: dict[str, Any] = {key: options[key] for key in ("crops", "top", "rule")}
    viewing["classes"] = _classes(network, target) or None
    viewing["layer"] = last_positions(network) if GRAD_CAM in grid.map else None
    viewing["methods"] = localise_stage.map_methods(OmegaConf.create(options))

    def compute(picture: Tensor, name: str) -> Localisation:
        view = viewed(network, picture, **viewing, name=name)
        scene = view.scene(grid.side)
        with threadpoolctl.threadpool_limits(1):  # as in the stage's workers, on which the last bits depend
            parts = segment(scene, grid)
        numbers = view.classes.tolist()
        return Localisation(
            image=picture.permute(1, 2, 0).numpy() / _TOP,
            boxes=on_photograph(np.stack([one.box for one in parts]), scene.size, (picture.shape[1], picture.shape[2])),
            found=np.array([one.found for one in parts]),
            targets=tuple(network.classes[number] for number in numbers),
            probabilities=view.probabilities.cpu().numpy()[numbers],
            maps=np.stack([one.map for one in parts]),
            masks=np.stack([one.mask for one in parts]),
        )

    return _each(compute, image)


def dissect(
    network: Network,
    concepts: str | Path,
    layers: str | Sequence[str] | None = None,
    *,
    preset: str = "default",
    limit: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    **settings: Any,
) -> Dissection:
    """The concept that each unit of some layers detects (Network Dissection), as `run=dissect` computes it.

    Args:
        network: of `load`.
        concepts: folder in Broden's format; `run=concepts` converts masks and annotations of COCO or VOC.
        layers: dotted name, or several; None: as in `conf/dissect/default.yaml`.
        preset: a choice of `conf/dissect`: `default` or `netdissect_lite`.
        limit: number of images, the first ones; None: all.
        out: folder for all tables and images that the command line writes; None: nothing is stored.
        seed: of all random numbers.
        **settings: keys of `conf/dissect/<preset>.yaml` to change.

    Returns:
        The tables.

    Raises:
        FileNotFoundError: if the folder has no such data.
        KeyError: if there is no such layer or setting, with the closest names.
        ValueError: if a setting is out of range.

    Source: Bau et al. 2017.

    >>> import tempfile
    >>> import deepinside as di
    >>> from deepinside.miniature import write_broden
    >>> folder = tempfile.mkdtemp()
    >>> write_broden(folder, seed=0, images=20, side=64, workers=0, least_frequency=1)
    >>> units = di.dissect(di.load("convnet_micro", weights="random"), folder, "relu5").units
    >>> list(units.columns[:6]), len(units)
    (['layer', 'unit', 'threshold', 'category', 'label', 'score'], 64)
    """
    _check(network)
    unseen = {} if out else {"cards": 0, "atlas": 0}
    options = defaults("dissect", preset, unseen | {"layers": layers} | settings)
    if (odd := options["epoch"] or options["from_csv"]) is not None:
        raise ValueError(f"expected no epoch and no from_csv, got {odd!r}: only `deepinside run=dissect` accepts them")
    dissect_stage.check(OmegaConf.create({"dissect": options | {"layers": None}}))
    cfg = OmegaConf.create({"dissect": options, "machine": defaults("machine", "default"), "seed": seed})
    broden = Broden.open(concepts, options["categories"]).limit(limit)
    with ExitStack() as stack:
        folder = Path(out or stack.enter_context(TemporaryDirectory()))
        shutil.rmtree(folder / "parts", ignore_errors=True)  # of an interrupted call, which may have been another one
        folder.mkdir(parents=True, exist_ok=True)
        dissect_stage.dissected(cfg, broden, network, folder).write()
        shutil.rmtree(folder / "parts")
        return Dissection.read(folder, options["iou"])


def show(*result: Result | Sequence[Result]) -> Figure:
    """Shows results: in a window if matplotlib has one, in a notebook as the value of the cell.

    Args:
        *result: one or several, or lists of them, of any kinds; a row each.

    Returns:
        The figure; its `savefig(path)` saves it.

    Raises:
        TypeError: if one of them is no result.
        ValueError: if there is none.

    >>> import deepinside as di
    >>> from skimage.data import chelsea, coffee
    >>> network = di.load("convnet_micro", weights="random")
    >>> figure = di.show(di.saliency(network, [chelsea(), coffee()]))
    >>> len(figure.axes)  # two images, two maps and their scales
    6
    """
    return on_screen(results.rows(*result))


def _check(network: Any) -> None:
    if not isinstance(network, Network):
        what = "load(module, input=...)" if isinstance(network, nn.Module) else "load(NAME)"
        raise TypeError(f"expected a network as deepinside.load returns it, got {type(network).__name__}: use {what}")


def _classes(network: Network, target: Target | Sequence[Target] | None) -> list[int]:
    _check(network)
    return [] if target is None else [chosen_class(network, one) for one in _listed(target)]


def _listed(value: Any) -> list:
    one = isinstance(value, str | Mapping) or np.ndim(value) == 0
    return [value] if one else list(value)


def _method(
    name: str, settings: Mapping[str, Any], kind: type, function: Callable[..., Any] | None = None
) -> tuple[Callable[..., Any], dict[str, Any]]:
    chosen = methods({name: defaults("method", name, settings)})[name]
    if chosen.returns is not kind or function not in {None, chosen.work}:
        what = kind.__name__ if function is None else function.__name__
        raise ValueError(f"expected a method for {what}, got {name!r}, which is {chosen.work.__name__}")
    return chosen.work, chosen.settings


def _pictures(network: Network, photographs: Sequence[Tensor]) -> Pictures:
    _check(network)
    crops, count = defaults("visualise", "default")["crops"], len(photographs)
    names = tuple(f"image {number}" for number in range(count))
    none = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(names, (-1,) * count, none, lambda position: shown(network, photographs[position], crops))


def _each(compute: Callable[[Tensor, str], Found], image: ImageLike | Sequence[ImageLike]) -> Found | list[Found]:
    photographs, several = images(image)
    found = [compute(photograph, f"image {number}") for number, photograph in enumerate(photographs)]
    return found if several else found[0]
