"""Numbers, rounded for reading."""

import math
import re

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_FRACTIONS = {"fraction", "share"}
_UNSAID = {"ratio"}  # has no unit
_SPELT = {
    "top1": "top-1", "top5": "top-5", "iou": "IoU", "l2": "L2", "ms": "ms", "ap": "AP", "gmm": "GMM",
    "tv": "TV", "relu": "ReLU", "cls": "class", "loc": "localisation", "pct": "percent",
}  # fmt: skip


def shown(value: float, unit: str = "") -> str:
    """A rounded number with its unit, such as `12.3 %`, `1 024 images`, `0.0417`, `2.1 × 10⁻⁵ s`.

    `fraction` and `share` are shown in percent; NaN is unknown.
    """
    text, unit = _parts(value, unit)
    return f"{text}\u00a0{unit}" if unit and not math.isnan(value) else text


def interval(low: float, high: float, unit: str = "") -> str:
    """An interval such as `10.1 to 14.9`, in the unit of its number; empty for NaN."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{_parts(low, unit)[0]} to {_parts(high, unit)[0]}"


def _parts(value: float, unit: str) -> tuple[str, str]:
    if math.isnan(value):
        return "not known", unit
    if unit in _FRACTIONS:
        value, unit = 100 * value, "%"
    unit = "" if unit in _UNSAID else unit
    return (_percent(value) if unit == "%" and math.isfinite(value) else _plain(value)), unit


def _percent(value: float) -> str:
    text = f"{value:.1f}".replace("-", "−")
    return "0.0" if text == "−0.0" else text


def _plain(value: float) -> str:
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    if value == round(value) and abs(value) < 1e12:
        return f"{round(value):,}".replace(",", "\u202f").replace("-", "−")
    if not 1e-3 <= abs(value) < 1e6:
        digits, power = f"{value:.1e}".split("e")
        return f"{digits} × 10{str(int(power)).translate(_SUPERSCRIPTS)}".replace("-", "−")
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}".replace("-", "−")


def spelt(name: str) -> str:
    """The name of a metric or setting in words: `localisation_top1_error` -> `Localisation top-1 error`.

    Dotted layer names and parts in brackets are unchanged.
    """
    words = [_SPELT.get(word.lower(), word) for word in re.split(r"[_\s]+", name.strip()) if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:] if words and words[0] == words[0].lower() else text
