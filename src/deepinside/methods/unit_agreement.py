"""Whether the methods agree about a unit: maximisation, strongest patches, projection, inversion and dissection."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import normalize

from deepinside.methods.top_activations import spread_units
from deepinside.methods.unit_cards import unit_cards
from deepinside.network import Network
from deepinside.probe import activations
from deepinside.probe.layers import before_scores
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Segments, Study
from deepinside.views import to_bytes, warped

WAYS = ("stimulus", "pre_image", "projections", "patches")
_SIGNIFICANT = 0.05  # highest p-value of a detector, as in dissection
_AREA = 0.02  # smallest share of an image that a concept must cover to be cropped
_PART = 32  # images per pass of the judge


def unit_agreement(
    network: Network,
    pictures: Pictures,
    segments: Segments,
    *,
    judge: Network | None,
    detectors: pd.DataFrame | None,
    layer: str,
    iou: float,
    units: int,
    concept_images: int,
    top: int,
    rule: str,
    contrast: str,
    batch_size: int,
    stimulus: Mapping[str, Any],
    pre_image: Mapping[str, Any],
    seed: int = 0,
) -> Study:
    """Measures whether all methods show the same of a unit, for concept detectors and for units drawn at random.

    A second network describes what each method shows of a unit by its pooled features: the preferred stimulus, the
    pre-image of the strongest image, and the projections and patches of the next ones, no image twice. Two methods
    agree about a unit as far as they describe it more alike than it and any other unit: the agreement is the share of
    other units that are less alike, 0.5 by chance, 1 if all are; the mean over pairs of methods. Likewise, the concept
    agreement is the share of other concepts that a method's images are less alike than the concept of the dissection.

    Args:
        network: to visualise.
        pictures: of a data set.
        segments: images with outlined concepts.
        judge: a second network.
        detectors: `units.csv` of a dissection of the layer.
        layer: dotted name of a layer with maps.
        iou: a unit above it is a detector, if its p-value with permuted labels is at most 0.05 where there is one.
        units: highest number of detectors, those of the highest IoU; as many others are drawn at random.
        concept_images: highest number of images of a concept.
        top: images per unit, 3 or more: one for the pre-image, half of the others for projections, the rest as patches.
        rule: of the ReLUs in the backward pass.
        contrast: of local response normalisation in the backward pass.
        batch_size: images per pass.
        stimulus: settings of `activation_maximization`, as in `unit_cards`.
        pre_image: settings of the inversion, as in `unit_cards`.
        seed: of all random numbers.

    Returns:
        `table`: as of `unit_cards`, and per unit whether it is a detector (`kind`), the number of its pair, one
        detector and one random unit, agreement, that of single pairs of methods, concept agreement, the classes that
        the second network gives to the stimulus and most often to the patches, whether they are equal, and the share
        of other units for which they are. Units with the lowest agreement come first. `shown`: as of `unit_cards`.

    Raises:
        KeyError: if there is no such layer.
        ValueError: if there is no second network, no dissection of the layer, no detector, or too few images per unit.

    Source: Qin et al. 2018, sec. 7 (methods together); Olah et al. 2017 for the card.
    Deviation: the measure is ours; the survey names the aim.
    """
    if judge is None:
        raise ValueError("expected a second network, got none: add for instance model@judge=efficientnet_lite0")
    if top < 3:
        raise ValueError(f"top: expected 3 images per unit or more, got {top}: methods must not see the same ones")
    found = _dissected(detectors, layer)
    kinds = _chosen(found, iou, units, layer, np.random.default_rng(seed))
    cards = unit_cards(
        network, pictures, layer=layer, units=sorted(kinds), top=top, rule=rule, contrast=contrast,
        batch_size=batch_size, stimulus=stimulus, pre_image=pre_image, detectors=detectors, seed=seed,
    )  # fmt: skip
    order = [unit for unit in kinds if unit in cards.shown["units"]]
    pairs = _pairs(order, kinds)
    if len(pairs) < 2:
        raise ValueError(f"expected two detectors of {layer} or more that fire in these images, got {len(pairs)}")
    places = [cards.shown["units"].tolist().index(unit) for unit in pairs]
    shown = {key: value if value.ndim == 0 else value[places] for key, value in cards.shown.items()}
    images = _images(shown, network.preprocessing.colour)
    described = {way: _described(judge, images[way]) for way in WAYS}
    table = cards.table.set_index("unit").loc[list(pairs)].reset_index()
    table.insert(0, "layer", layer)
    table.insert(2, "kind", [kinds[unit] for unit in pairs])
    table.insert(3, "pair", list(pairs.values()))
    for name, column in _agreement(described).items():
        table[name] = column
    own = [(str(found.at[unit, "label"]), str(found.at[unit, "category"])) for unit in pairs]
    for name, column in _with_concepts(described, own, _concepts(judge, segments, set(own), concept_images)).items():
        table[name] = column
    table = table.join(_classes(judge, images["stimulus"], images["patches"]))
    worst = table["agreement"].argsort(kind="stable").tolist()
    shown = {key: value if value.ndim == 0 else value[worst] for key, value in shown.items()}
    return Study(table.iloc[worst].reset_index(drop=True), tuple(_numbers(table)), shown)


def _dissected(detectors: pd.DataFrame | None, layer: str) -> pd.DataFrame:
    if detectors is None:
        raise ValueError("expected a dissection, got none: it names the detectors; remove ~method.*.needs")
    mine = detectors[detectors["layer"].astype(str) == layer]
    if mine.empty:
        raise ValueError(
            f"expected a dissection of {layer}, got one of {', '.join(sorted(set(detectors['layer'].astype(str))))}: "
            f"set dissect.layers=[{layer}], or the layer of this method"
        )
    return mine.fillna({"label": "", "category": ""}).set_index("unit")


def _chosen(found: pd.DataFrame, iou: float, most: int, layer: str, random: np.random.Generator) -> dict[int, str]:
    # Unit -> detector or random.
    above = found["score"] > iou
    if "p_value" in found and found["p_value"].notna().any():
        above &= found["p_value"] <= _SIGNIFICANT
    ours = found[above].sort_values("score", ascending=False, kind="stable").index[:most].tolist()
    rest = [unit for unit in spread_units(None, int(found.index.max()) + 1, layer) if not above.get(unit, False)]
    if not ours or not rest:
        raise ValueError(
            f"expected detectors among the units of {layer} and other units, got {int(above.sum())} of {len(found)} "
            f"above an IoU of {iou:g} and chance: choose another layer, or another iou"
        )
    drawn = random.choice(rest, min(len(ours), len(rest)), replace=False).tolist()
    return dict.fromkeys(ours, "detector") | dict.fromkeys(drawn, "random")


def _pairs(units: Sequence[int], kinds: Mapping[int, str]) -> dict[int, int]:
    # Unit -> number of its pair; those without a partner are left out.
    ours, drawn = ([unit for unit in units if kinds[unit] == kind] for kind in ("detector", "random"))
    pairs = list(zip(ours, drawn, strict=False))
    return {one: number for number, pair in enumerate(pairs) for one in pair}


def _images(shown: Mapping[str, ndarray], colour: Float[Tensor, "3"]) -> dict[str, list[Float[Tensor, "k 3 h w"]]]:
    # What each method shows of each unit. The pre-image is of the strongest image, so that is no patch.
    split = 1 + (shown["patches"].shape[1] - 1) // 2
    inside = shown["inside"][..., None]
    patches = np.where(inside, shown["patches"].astype(np.float32), colour.numpy())
    projections = np.where(inside, 0.5 + 0.5 * shown["projections"].astype(np.float32), 0.5)
    return {
        "stimulus": [_planes(image[None] / 255.0) for image in shown["stimuli"]],
        "pre_image": [_planes(image[None] / 255.0) for image in shown["pre_images"]],
        "projections": [_planes(images[1:split]) for images in projections],
        "patches": [_planes(images[split:]) for images in patches],
    }


def _planes(images: Float[ndarray, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).permute(0, 3, 1, 2)


def _inputs(judge: Network, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 s s"]:
    stored = torch.from_numpy(to_bytes(images)).permute(0, 3, 1, 2)
    return torch.stack([warped(image, judge.preprocessing) for image in stored])


def _described(judge: Network, images: Sequence[Float[Tensor, "k 3 h w"]]) -> Float[Tensor, "u d"]:
    # The mean over a unit's images of the judge's pooled features, each of length 1.
    inputs = _inputs(judge, torch.cat(list(images)))
    layer = before_scores(judge, inputs[:1].to(judge.device))
    parts = [activations(judge, part.to(judge.device), (layer,))[layer].cpu() for part in inputs.split(_PART)]
    features = torch.cat([_pooled(part) for part in parts])
    means = [part.mean(dim=0) for part in normalize(features, dim=1).split([len(one) for one in images])]
    return torch.stack(means)


def _pooled(activation: Tensor) -> Float[Tensor, "n d"]:
    if activation.ndim == 3:  # tokens (n, t, d)
        return activation.mean(dim=1)
    return activation.flatten(2).mean(dim=2) if activation.ndim > 2 else activation


def _alike(one: Float[Tensor, "u d"], other: Float[Tensor, "v d"]) -> Float[ndarray, "u v"]:
    # Cosines about the mean of each, which is what all images of one kind have in common.
    first, second = (normalize(x - x.mean(dim=0), dim=1) for x in (one, other))
    return (first @ second.T).double().numpy()


def _below(alike: Float[ndarray, "u v"], own: Int[ndarray, " u"]) -> Float[ndarray, " u"]:
    # The share of the other columns that are below a row's own one; equal ones count half.
    mine = np.take_along_axis(alike, own[:, None], axis=1)
    equal = (alike == mine).sum(axis=1) - 1
    return ((alike < mine).sum(axis=1) + 0.5 * equal) / (alike.shape[1] - 1)


def _agreement(described: Mapping[str, Float[Tensor, "u d"]]) -> dict[str, Float[ndarray, " u"]]:
    own = np.arange(len(described["patches"]))
    both = {pair: _below(_alike(described[pair[0]], described[pair[1]]), own) for pair in permutations(WAYS, 2)}
    found = {"agreement": np.mean(list(both.values()), axis=0)}
    for i, first in enumerate(WAYS):
        for second in WAYS[i + 1 :]:
            found[f"{first}_with_{second}"] = (both[first, second] + both[second, first]) / 2
    return found


def _concepts(
    judge: Network, segments: Segments, wanted: set[tuple[str, str]], most: int
) -> dict[tuple[str, str], Float[Tensor, " d"]]:
    # The mean description of the first images of each concept, cropped to it.
    found: dict[tuple[str, str], list[Tensor]] = {concept: [] for concept in wanted if concept[0]}
    for position in range(len(segments.pictures)):
        if all(len(crops) >= most for crops in found.values()):
            break
        carried = {**segments.masks(position), **segments.whole(position)}
        image = None
        for concept, crops in found.items():
            label, category = concept
            mask = carried.get(f"{label} ({category})", carried.get(label))
            if mask is None or len(crops) >= most or float(mask.float().mean()) < _AREA:
                continue
            image = segments.pictures.read(position) if image is None else image
            if image is not None:
                crops.append(_inputs(judge, _cropped(image, mask)[None])[0])
    return {concept: _described(judge, [torch.stack(crops)])[0] for concept, crops in found.items() if crops}


def _cropped(image: Float[Tensor, "3 h w"], mask: Bool[Tensor, "h w"]) -> Float[Tensor, "3 y x"]:
    rows, columns = (torch.where(mask.any(dim=axis))[0] for axis in (1, 0))
    return image[:, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]


def _with_concepts(
    described: Mapping[str, Float[Tensor, "u d"]],
    own: Sequence[tuple[str, str]],
    concepts: Mapping[tuple[str, str], Float[Tensor, " d"]],
) -> dict[str, Float[ndarray, " u"]]:
    # NaN for units whose concept has no images.
    names = list(concepts)
    known = np.array([i for i, concept in enumerate(own) if concept in concepts], dtype=int)
    found = {f"{way}_with_concept": np.full(len(own), np.nan) for way in WAYS}
    if len(names) > 1:
        features = torch.stack(list(concepts.values()))
        columns = np.array([names.index(own[i]) for i in known], dtype=int)
        for way in WAYS:
            found[f"{way}_with_concept"][known] = _below(_alike(described[way], features)[known], columns)
    return {"concept_agreement": np.mean(list(found.values()), axis=0), **found}


def _classes(
    judge: Network, stimuli: Sequence[Float[Tensor, "k 3 h w"]], patches: Sequence[Float[Tensor, "k 3 h w"]]
) -> pd.DataFrame:
    ours = judge.scores(_inputs(judge, torch.cat(list(stimuli)))).argmax(dim=1).cpu().numpy()
    seen = judge.scores(_inputs(judge, torch.cat(list(patches)))).argmax(dim=1).cpu()
    commonest = np.array([int(part.mode().values) for part in seen.split([len(one) for one in patches])])
    equal = ours[:, None] == commonest
    others = (equal.sum(axis=1) - equal.diagonal()) / (len(ours) - 1)
    names = np.array(judge.classes)
    return pd.DataFrame(
        {
            "class_of_stimulus": names[ours], "class_of_patches": names[commonest],
            "same_class": equal.diagonal().astype(int), "same_class_as_others": others,
        }
    )  # fmt: skip


def _numbers(table: pd.DataFrame) -> Iterator[Row]:
    yield Row("pairs", len(table) // 2, "pairs")
    for kind, name in (("detector", "detectors"), ("random", "random_units")):
        rows = table[table["kind"] == kind]
        for column in ("agreement", "concept_agreement"):
            if rows[column].notna().any():
                yield mean_row(f"{name}.{column}", rows[column].dropna(), "share")
        yield mean_row(f"{name}.same_class", rows["same_class"], "share")
        yield mean_row(f"{name}.same_class_as_others", rows["same_class_as_others"], "share")
