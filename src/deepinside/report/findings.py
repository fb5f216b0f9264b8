"""What was found, in sentences made from the numbers of the artifacts; one exists only where its numbers do."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deepinside.report import number
from deepinside.report.page import Number

_PERCENT = 100.0


@dataclass(frozen=True)
class Numbers:
    """The numbers of one artifact, by metric; readable names; and the number of classes, NaN if unknown."""

    known: Mapping[str, Number]
    words: Mapping[str, str]
    classes: float

    def has(self, *metrics: str) -> bool:
        """Whether all of them are known."""
        return all(metric in self.known and not math.isnan(self.known[metric].value) for metric in metrics)

    def text(self, metric: str) -> str:
        """A number with its unit and interval."""
        one = self.known[metric]
        return f"{one.text} [{one.interval}]" if one.interval else one.text

    def plain(self, metric: str) -> str:
        """A number with its interval, without its unit."""
        one = self.known[metric]
        text = number.shown(one.value)
        return f"{text} [{one.interval}]" if one.interval else text

    def beyond_zero(self, metric: str) -> int:
        """1 if the interval is above zero, -1 if it is below, 0 if it includes zero or is not known."""
        one = self.known[metric]
        return int(one.low > 0) - int(one.high < 0)

    def ending(self, end: str) -> list[str]:
        """What is before `.end` in the metrics that end so."""
        return [metric.removesuffix(f".{end}") for metric in self.known if metric.endswith(f".{end}")]


@dataclass(frozen=True)
class Finding:
    """A sentence, and whether it is about a failure: a number that is no better than its null."""

    topic: str
    says: str
    failed: bool = False

    def about(self, subject: str) -> "Finding":
        """The same sentence, saying what it is about, such as a network; as it is if that is empty."""
        return replace(self, says=f"{self.says.removesuffix('.')} ({subject}).") if subject else self


def of_artifact(known: Sequence[Number], words: Mapping[str, str], classes: float) -> list[Finding]:
    """The sentences about one artifact, given all of its numbers; `classes` is NaN if unknown."""
    numbers = Numbers({one.metric: one for one in known}, words, classes)
    return [Finding(topic, says, failed) for topic, sentences in _TOPICS.items() for says, failed in sentences(numbers)]


_Sentences = Iterator[tuple[str, bool]]


def _training(numbers: Numbers) -> _Sentences:
    error = next((one for one in ("top1_error_ten_crop", "top1_error_centre_crop") if numbers.has(one)), "")
    if not error:
        return
    says = f"The trained network names {numbers.text(error)} of the test images wrongly"
    chance = _PERCENT * (1 - 1 / numbers.classes) if numbers.classes > 1 else math.nan
    if math.isnan(chance):
        yield f"{says}.", False
        return
    worse = not numbers.known[error].high < chance
    against = f"guessing one of {number.shown(numbers.classes)} classes is wrong in {number.shown(chance, '%')}"
    yield f"{says}; {against}.", worse


_BASELINES = {"whole_image": "a box around the whole image", "centre_box": "a box of fixed size in the centre"}


def _localisation(numbers: Numbers) -> _Sentences:
    error = "class_known_localisation_error"
    if not numbers.has(error):
        return
    others = [name for name in _BASELINES if numbers.has(f"{name}.{error}")]
    images = f"{numbers.known[error].count} images".strip()
    wrong = f"wrong (IoU below 0.5) in {numbers.text(error)} of {images}"
    says = f"The box that saliency gives for the true class is {wrong}"
    against = " and ".join(f"{_BASELINES[name]} in {numbers.text(f'{name}.{error}')}" for name in others)
    yield f"{says}; {against}." if against else f"{says}.", False
    for name in others:
        gain = f"class_known_localisation_gain_over_{name}"
        if numbers.has(gain) and numbers.beyond_zero(gain) <= 0:
            worse = "worse than" if numbers.beyond_zero(gain) < 0 else "not shown to be better than"
            difference = f"image by image the difference of the errors is {numbers.text(gain)}"
            yield f"The box from saliency is {worse} {_BASELINES[name]}: {difference}.", True


def _saliency(numbers: Numbers) -> _Sentences:
    share = "energy_in_box_over_area_share"
    for name in numbers.ending(f"{share}_above_random_weights"):
        ours, gain = f"{name}.{share}", f"{name}.{share}_above_random_weights"
        method = numbers.words.get(name, name.replace("_", " "))
        method = f"{method[:1].upper()}{method[1:]}"
        if not numbers.has(ours, gain):
            continue
        if numbers.beyond_zero(gain) > 0:
            says = f"{method} is {numbers.text(ours)} times as dense in the object's box as in the whole image"
            yield f"{says}; the difference from the same network with random weights is {numbers.text(gain)}.", False
        else:
            says = f"{method} is not shown to be denser in the object's box than in a network with random weights"
            yield f"{says}: {numbers.text(ours)} times as dense as in the whole image, {numbers.text(gain)} more.", True


def _dissection(numbers: Numbers) -> _Sentences:
    above, null = "unique_detectors_above_null", "unique_detectors_null"
    layers = [layer for layer in numbers.ending(above) if numbers.has(f"{layer}.{above}")]
    if not layers:
        return
    best = max(layers, key=lambda layer: numbers.known[f"{layer}.{above}"].value)
    mean = f"; their mean is {numbers.plain(f'{best}.{null}')}" if numbers.has(f"{best}.{null}") else ""
    gain = f"{best}.{above}"
    if numbers.beyond_zero(gain) > 0:
        most = f", the most selective of {number.shown(len(layers))} layers," if len(layers) > 1 else ""
        more = f"detect {numbers.plain(gain)} more different concepts than when the labels of the images are permuted"
        yield f"Units of {best}{most} {more} (brackets: 95 % of the permutations{mean}).", False
    failed = [layer for layer in layers if numbers.beyond_zero(f"{layer}.{above}") <= 0]
    if failed:
        named = ", ".join(f"{layer} ({numbers.plain(f'{layer}.{above}')})" for layer in failed)
        yield f"Not shown to detect more different concepts than with permuted labels: {named}.", True


def _class_models(numbers: Numbers) -> _Sentences:
    for name in numbers.ending("judge_top1"):
        if name in {"noise", "mean_image"} or not numbers.has(f"{name}.judge_top1", "noise.judge_top1"):
            continue
        ours, noise = numbers.known[f"{name}.judge_top1"], numbers.known["noise.judge_top1"]
        says = f"A second network recognises {ours.text} of the class images of {numbers.words.get(name, name)}"
        yield f"{says}, and {noise.text} of noise.", not ours.value > noise.value


_TOPICS: Mapping[str, Callable[[Numbers], _Sentences]] = {
    "training": _training,
    "localisation": _localisation,
    "saliency": _saliency,
    "dissection": _dissection,
    "class models": _class_models,
}

TOPICS = tuple(_TOPICS)
