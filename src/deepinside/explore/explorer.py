"""What the page shows, computed for given choices; knows nothing of the page."""

import inspect
import io
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside import views
from deepinside.api import functions, loading
from deepinside.api.results import Saliency
from deepinside.data import photos
from deepinside.data.image import BadImage, read_image
from deepinside.data.index import Index
from deepinside.defaults import choices, defaults, unresolved
from deepinside.methods.top_activations import Tops, cut_out, strongest_pictures
from deepinside.network import Network
from deepinside.pipeline.configuration import DictConfig, composed, plain
from deepinside.probe import activations, convolutional, receptive_fields
from deepinside.probe.layers import RECTIFIERS
from deepinside.runtime import machine
from deepinside.spelling import readable, resolved
from deepinside.visualisation.method import returning_maps
from deepinside.visualisation.studies import pictures

NETWORK = "efficientnet_lite0"  # where none is named: its weights come with this package
MOST_BYTES = 2**24  # of a photograph that is opened in the page
IMAGES = 100  # searched for the best patches, where data.limit does not say how many
PATCHES = 6
STEPS = 64  # half of those of am_best, for an image within seconds
CLASSES = 5  # scores shown
CROPS = ("centre", "warp", "ten")


class Photograph(NamedTuple):
    """A photograph: its file, as a command would name it, and RGB bytes, (3, h, w)."""

    file: str
    pixels: UInt8[Tensor, "3 h w"]


class Choices(NamedTuple):
    """What is chosen; `target` is a class of `Explorer.classes`, or empty for the most probable one."""

    network: str
    method: str
    layer: str
    unit: int
    target: str = ""
    of_unit: bool = False
    crops: str = "centre"


class Patches(NamedTuple):
    """The strongest patches of a unit and their projections, (n, h, w, 3), and the images they are from."""

    images: Float[ndarray, "n h w 3"]
    projections: Float[ndarray, "n h w 3"]
    names: tuple[str, ...]
    values: tuple[float, ...]


def opened(content: bytes, name: str) -> Photograph:
    """A photograph from the bytes of a file.

    Args:
        content: of the file.
        name: of the file, which may be anything.

    Returns:
        The photograph.

    Raises:
        ValueError: if it is too large, broken, or neither JPEG nor PNG.
    """
    name = readable(name.replace("\\", "/").rpartition("/")[2]) or "photograph"
    if len(content) > MOST_BYTES:
        size = f"{len(content) / 2**20:.1f} MB"
        raise ValueError(f"{name}: expected a file of at most {MOST_BYTES // 2**20} MB, got {size}")
    try:
        return Photograph(name, read_image(name, lambda _: io.BytesIO(content)))
    except BadImage as error:
        raise ValueError(f"{name}: expected a whole JPEG or PNG image, got {error.came}") from error


class Explorer:
    """Networks and photographs, and what can be seen with them.

    Args:
        overrides: of the command line: `model=...`, `data.root=FOLDER`, `machine.device=...`; without a model,
            `efficientnet_lite0`.

    Raises:
        FileNotFoundError: if the network has no weights, or the folder no photographs.
        KeyError: for a word that does not exist, with the closest.
        ValueError: if `data` is another choice than `photos`.
    """

    def __init__(self, overrides: Sequence[str] = ()) -> None:
        named = [word.partition("=")[2] for word in overrides if word.startswith("model=")]
        choice = named[-1] if named else NETWORK
        model = [word for word in overrides if word.startswith("model.")]
        cfg = composed(["data=photos", *([] if named else [f"model={NETWORK}"]), *overrides])
        if cfg.data.name != "photos":
            raise ValueError(f"expected data=photos, got data={cfg.data.name}: data.root=FOLDER names the photographs")
        network = _built(choice, cfg)
        self._cfg = cfg
        self._models = {network.name: (choice, model), NETWORK: (NETWORK, [])}
        self._networks = {network.name: network}
        index: Index = photos.index(cfg.data.root)
        self.index = index.limit(min(cfg.data.limit or IMAGES, len(index)))
        self.methods = tuple(returning_maps())
        self.networks = tuple(self._models)
        self.layers = cache(self._layers)
        self._tops = cache(self._searched)
        self._maximised = lru_cache(256)(self._stimulus)
        self._watch: Callable[[Network], object] = lambda _: None

    def watched(self, watch: Callable[[Network], object]) -> None:
        """Calls a function with every network, now or when it is loaded."""
        self._watch = watch
        for network in self._networks.values():
            watch(network)

    def network(self, name: str) -> Network:
        """The network of that name, loaded when it is first used."""
        if name not in self._networks:
            self._networks[name] = loading.load(name).to(machine.device(self._cfg.machine.device))
            self._watch(self._networks[name])
        return self._networks[name]

    def classes(self, name: str) -> dict[str, int]:
        """The classes of a network by name; those that share one have their number behind it."""
        names = self.network(name).classes
        return {one if names.count(one) == 1 else f"{one} ({number})": number for number, one in enumerate(names)}

    def example(self, position: int) -> Photograph:
        """A photograph of the index."""
        entry = self.index.entries[position]
        return Photograph(str(self.index.root / entry.file), self.index.picture(entry))

    def has_units(self, method: str) -> bool:
        """Whether a method has maps of units, too."""
        return "unit" in inspect.signature(resolved(unresolved("method", method)["_target_"])).parameters

    def _layers(self, name: str) -> dict[str, int]:
        # Convolutional layers with positions, after their ReLU, and how many units each has.
        network = self.network(name)
        side, names = network.preprocessing.input, convolutional(network)
        found = activations(network, torch.zeros(1, 3, side, side, device=network.device), names)
        return {one: found[one].shape[1] for one in names if found[one][0, 0].numel() > 1}

    def last_layer(self, name: str) -> str:
        """The last of the layers that the class scores are not."""
        layers, classes = self.layers(name), len(self.network(name).classes)
        return ([one for one, count in layers.items() if count != classes] or [*layers])[-1]

    def before(self, chosen: Choices) -> str:
        """The layer before the ReLU of the chosen one: there an image that leaves the unit at zero has a gradient."""
        network = self.network(chosen.network)
        place = network.layers.index(chosen.layer)
        return (
            network.layers[place - 1] if isinstance(network.layer(chosen.layer), RECTIFIERS) and place else chosen.layer
        )

    def strongest(self, photograph: Photograph, chosen: Choices) -> int:
        """The unit of the chosen layer with the highest activation in the photograph."""
        network = self.network(chosen.network)
        view = views.crops_of(photograph.pixels, network.preprocessing, "centre")
        found = activations(network, view.pixels.to(network.device), (chosen.layer,))[chosen.layer]
        return int(found[0].flatten(1).amax(dim=1).argmax())

    def scores(self, photograph: Photograph, chosen: Choices) -> list[tuple[str, float]]:
        """The most probable classes with their probabilities, averaged over the crops."""
        network = self.network(chosen.network)
        view = views.crops_of(photograph.pixels, network.preprocessing, chosen.crops)
        shares = network.scores(view.pixels).softmax(dim=1).mean(dim=0).cpu()
        best = shares.topk(min(CLASSES, len(shares)))
        return [
            (network.classes[one], share)
            for one, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def map(self, photograph: Photograph, chosen: Choices) -> Saliency:
        """The map of the chosen class or unit, as `deepinside.saliency` computes it.

        Raises:
            ValueError: if the method has no maps of units, or is not defined for the network.
        """
        if chosen.of_unit and not self.has_units(chosen.method):
            raise ValueError(f"{chosen.method} has maps of classes only: choose a class, or another method")
        target: Any = self.classes(chosen.network)[chosen.target] if chosen.target and not chosen.of_unit else None
        seen = functions.saliency(self.network(chosen.network), photograph.pixels, target, **_keys(chosen))
        assert isinstance(seen, Saliency)  # of one image
        return seen

    def patches(self, chosen: Choices) -> Patches:
        """The strongest patches of the chosen unit in the photographs of the index, and their projections.

        Raises:
            ValueError: if the unit is zero in all of them.
        """
        network, layer, unit = self.network(chosen.network), chosen.layer, chosen.unit
        crops = "warp" if chosen.crops == "warp" else "centre"
        tops = self._tops(chosen.network, layer, crops).of([unit])
        if tops.values[0, 0] <= 0:
            raise ValueError(f"unit {unit} of {layer} is zero in all {len(self.index)} photographs")
        images = pictures(network, self.index, crops, [])
        side = network.preprocessing.input
        field = receptive_fields(network, (layer,), (side, side))[layer]
        settings = defaults("method", "top_activations")
        how = {"layer": layer, "rule": settings["rule"], "contrast": settings["contrast"]}
        rows, shown = cut_out(network, images, [unit], tops, field, how, PATCHES)
        count = len(rows)
        names, values = tuple(row["picture"] for row in rows), tuple(row["value"] for row in rows)
        return Patches(shown["patches"][0, :count], shown["projections"][0, :count], names, values)

    def _searched(self, name: str, layer: str, crops: str) -> Tops:
        network, units = self.network(name), range(self.layers(name)[layer])
        images = pictures(network, self.index, crops, [])
        return strongest_pictures(network, images, layer=layer, units=units, top=PATCHES)

    def stimulus(self, chosen: Choices) -> Float[ndarray, "h w 3"]:
        """The image that maximises the chosen unit before its ReLU, as `deepinside.maximise` makes it.

        Raises:
            ValueError: if the unit is dead.
        """
        return self._maximised(chosen.network, self.before(chosen), chosen.unit)

    def _stimulus(self, name: str, layer: str, unit: int) -> ndarray:
        return functions.maximise(self.network(name), layer=layer, unit=unit, steps=STEPS).image

    def command(self, photograph: Photograph, chosen: Choices) -> str:
        """What repeats it in a shell: the map and the stimulus by Python, the patches by a stage."""
        choice, model = self._models[chosen.network]
        keys = {word.partition("=")[0].removeprefix("model."): word for word in model}
        settings = {key: self._cfg.model[key] for key in keys} if model else {}
        target = {} if chosen.of_unit or not chosen.target else {"target": self._target(chosen)}
        unit = {"layer": self.before(chosen), "unit": chosen.unit, "steps": STEPS}
        code = [
            "import deepinside as di",
            f"network = di.load({_words(choice, **settings)})",
            f"seen = di.saliency(network, {_words(photograph.file, **target, **_keys(chosen))})",
            f"stimulus = di.maximise(network, {_words(**unit)})",
            'seen.save("map.png"); stimulus.save("stimulus.png")',
        ]
        root = [] if self._cfg.data.root is None else [f"data.root={self._cfg.data.root}"]
        method = "method.top_activations"
        stage = [
            *("deepinside", "run=visualise", "data=photos", *root, f"data.limit={len(self.index)}"),
            *(f"model={choice}", *model, f"visualise.crops={chosen.crops}", "method=[top_activations]"),
            *(f"{method}.layer={chosen.layer}", f"{method}.units=[{chosen.unit}]", f"{method}.top={PATCHES}"),
        ]
        return f"python -c {shlex.quote(chr(10).join(code))}\n{shlex.join(stage)}"

    def _target(self, chosen: Choices) -> str | int:
        number = self.classes(chosen.network)[chosen.target]
        return chosen.target if chosen.target in self.network(chosen.network).classes else number


def _built(choice: str, cfg: DictConfig) -> Network:
    if choice not in choices("model"):
        raise KeyError(f"no network {choice!r}")
    model: Mapping[str, Any] = cfg.model
    if model["weights"] is None and "target" not in model:
        raise FileNotFoundError(
            f"model={choice} comes without weights: name them with model.weights=FILE (`deepinside help "
            f"model/{choice}` says where to get them; outputs/train/latest/model.safetensors, if it was trained here)"
        )
    try:
        return loading.build(model, None).to(machine.device(cfg.machine.device))
    except Exception as error:
        raise plain(error) from error


def _keys(chosen: Choices) -> dict[str, Any]:
    unit = {"layer": chosen.layer, "unit": chosen.unit} if chosen.of_unit else {}
    return {"method": chosen.method, "crops": chosen.crops, **unit}


def _words(*first: Any, **named: Any) -> str:
    # Arguments as Python writes them, with double quotes, which shells leave alone between single ones.
    written = [_literal(one) for one in first] + [f"{key}={_literal(value)}" for key, value in named.items()]
    return ", ".join(written)


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
