"""The result table of NetDissect, so that its own plots run on our numbers."""

import pandas as pd

from deepinside.dissection.score import FIELDS, category_names

_ORDER = ("object", "color", "material", "scene", "texture", "part")  # of the published tables


def classic(units: pd.DataFrame) -> pd.DataFrame:
    """The rows of one layer as `*-result.csv` of NetDissect: units from 1, best first, no layer and no threshold.

    Args:
        units: rows of one layer, as `score.units_frame` returns them; further columns are left out.

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
