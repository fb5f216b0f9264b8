"""Reading the result tables that NetDissect published."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepinside.dissection.score import FIELDS, category_names

_HEAD = ("unit", "category", "label", "score")
_QUOTED = 100  # characters of a name in a message
_COUNTED = tuple(f"-{field}" for field in FIELDS[1:])
_TOLERANCE = 1e-6  # NetDissect-Lite adds 1e-10 to every union


def read_result(path: str | Path, layer: str) -> pd.DataFrame:
    """A `*-result.csv` of NetDissect or NetDissect-Lite, checked: IoU = I / (T + A - I) in every row.

    Args:
        path: of the file; units from 1, categories in any order.
        layer: its name, which is not in the file.

    Returns:
        The table of `score.units_frame`: sorted by unit, from 0; the threshold, which the file does not
        hold, is NaN.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if columns are missing, a unit comes twice, or a row does not add up; with its unit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no result table {path}: the published ones are in NetDissect's folder plot/")
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""])  # a label may be called "null"
    except ValueError as error:  # no text, no columns, rows of other lengths
        raise ValueError(f"{path}: expected the table of a NetDissect result, got {error}") from error
    _check_columns(table, path)
    if table["unit"].duplicated().any():
        raise ValueError(
            f"{path}: expected each unit once, got {table['unit'][table['unit'].duplicated()].tolist()[:5]}"
        )
    for category in category_names(table):
        _check_rows(table, category, path)
    table = table.sort_values("unit", ignore_index=True)
    table["unit"] -= 1
    table.insert(0, "layer", layer)
    table.insert(2, "threshold", np.nan)
    return table


def _check_columns(table: pd.DataFrame, path: Path) -> None:
    categories = category_names(table)
    needed = [*_HEAD, *(f"{category}-{field}" for category in categories for field in FIELDS)]
    missing = [name for name in needed if name not in table.columns]
    if missing or not categories:
        came = [name[:_QUOTED] for name in missing[:5]] or "<category>-iou"
        raise ValueError(f"{path}: expected the columns of a NetDissect result, missing {came}")
    numbers = [name for name in needed if name in {"unit", "score"} or name.endswith(_COUNTED)]
    texts = [name for name in numbers if not pd.api.types.is_numeric_dtype(table[name])]
    if texts or not pd.api.types.is_integer_dtype(table["unit"]):
        came = [name[:_QUOTED] for name in texts[:5]] or ["unit"]
        raise ValueError(f"{path}: expected whole units and numbers, got other values in {came}")


def _check_rows(table: pd.DataFrame, category: str, path: Path) -> None:
    truth, activation, common, stated = (table[f"{category}-{field}"].to_numpy(float) for field in FIELDS[1:])
    union = truth + activation - common
    computed = np.divide(common, union, out=np.zeros_like(union), where=union > 0)
    wrong = ~np.isclose(stated, computed, rtol=_TOLERANCE, atol=_TOLERANCE * _TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{path}: expected {category}-iou {computed[row]:.6g} for unit {table['unit'][row]} from its counts, "
            f"got {stated[row]:.6g}: the row is damaged or of another definition"
        )


_ORDER = ("object", "color", "material", "scene", "texture", "part")  # of the published tables


def classic(units: pd.DataFrame) -> pd.DataFrame:
    """The rows of one layer as `*-result.csv` of NetDissect: units from 1, best first, no layer and no threshold.

    Args:
        units: rows of one layer, as `score.units_frame` returns them; further columns are ignored.

    Returns:
        unit, category, label, score, and per category `<category>-label`, `-truth`, `-activation`, `-intersect`,
        `-iou`; categories in the published order, others after them. A category without a label to score is left
        out: the format has no empty cells.

    Source: Bau et al. 2017, code (makeresult.py); released tables.
    """
    names = [name for name in category_names(units) if units[f"{name}-iou"].notna().any()]
    names = [*(name for name in _ORDER if name in names), *(name for name in names if name not in _ORDER)]
    columns = ["unit", "category", "label", "score", *(f"{name}-{field}" for name in names for field in FIELDS)]
    table = units[columns].sort_values("score", ascending=False, kind="stable", ignore_index=True)
    table["unit"] += 1
    return table
