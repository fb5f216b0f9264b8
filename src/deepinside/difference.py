"""What differs between two artifacts: ingredients, numbers, files."""

import math
from pathlib import Path
from typing import Any

from deepinside.artifact import flat, read_manifest
from deepinside.excerpt import numbers


def _sides(left: dict[str, Any], right: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    keys = sorted(left.keys() | right.keys())
    return [(key, left.get(key, "-"), right.get(key, "-")) for key in keys if left.get(key, "-") != right.get(key, "-")]


def _numbers(folder: Path) -> dict[str, Any]:
    return {metric: value for metric, value in numbers(folder).items() if not math.isnan(value)}


def difference(left: Path, right: Path) -> list[tuple[str, str, str, str]]:
    """What differs between two artifacts.

    Args:
        left: a finished artifact.
        right: another.

    Returns:
        Rows of kind (`made from`, `number` or `file`), key, value on the left, value on the right.
    """
    one, other = read_manifest(left), read_manifest(right)
    digests = [{name: entry["sha256"][:16] for name, entry in m["files"].items()} for m in (one, other)]
    kinds = {
        "made from": _sides(flat(one["made_from"]), flat(other["made_from"])),
        "number": _sides(_numbers(left), _numbers(right)),
        "file": _sides(*digests),
    }
    return [(kind, key, str(a), str(b)) for kind, rows in kinds.items() for key, a, b in rows]
