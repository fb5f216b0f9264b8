"""Attribution methods compared, from the tables of a benchmark: a row per method, and differences from the nulls."""

from collections.abc import Iterator, Mapping, Sequence

from deepinside.report import number
from deepinside.report.catalogue import Catalogue, Cell, Column, Line
from deepinside.report.folder import Cells, Folder, lines
from deepinside.report.measure import named
from deepinside.report.page import Artifact

ABOVE = "_above_"  # between a metric and the null that it is compared with
_IN_HEADING = {"ms", "MB", "images"}  # units that the cells leave to the heading


def methods(folder: Folder, artifact: Artifact, words: Mapping[str, str]) -> list[Catalogue]:
    """The tables of a benchmark; none of any other artifact."""
    if folder.stage != "benchmark":
        return []
    found = list(_parted(folder))
    own = {(method, metric): one for method, metric, one in found if ABOVE not in metric}
    above = [one for one in found if ABOVE in one[1]]
    tables = [_own(own, artifact, words), _differences(above, folder, artifact, words)]
    return [table for table in tables if table.lines]


def _parted(folder: Folder) -> Iterator[tuple[str, str, Cells]]:
    # Method and metric of each number; what is measured of maps that are not the method's own is left out.
    names = sorted(folder.config.get("benchmark", {}).get("methods", ()), key=len, reverse=True)
    for one in folder.cells:
        method = next((name for name in names if one.row.metric.startswith(f"{name}.")), None)
        metric = one.row.metric[len(method) + 1 :] if method else ""
        if method and "." not in metric:
            yield method, metric, one


def _own(found: Mapping[tuple[str, str], Cells], artifact: Artifact, words: Mapping[str, str]) -> Catalogue:
    metrics = {metric: one.row.unit for (_, metric), one in found.items()}
    columns = [Column("Method"), *(Column(_titled(metric, unit, words), True) for metric, unit in metrics.items())]
    rows = [
        Line((Cell(_spelt(method, words)), *(_cell(found.get((method, metric))) for metric in metrics)))
        for method in dict.fromkeys(method for method, _ in found)
    ]
    says = (
        "Means over images with 95 % intervals below; a heading sorts. The expensive measures are of a sample of the "
        "images: table.csv has the number of images of each."
    )
    return _catalogue("methods", "Methods", says, "methods", columns, rows, artifact)


def _differences(
    found: Sequence[tuple[str, str, Cells]], folder: Folder, artifact: Artifact, words: Mapping[str, str]
) -> Catalogue:
    corrected = {
        (one["method"], one["metric"], one["against"]): one["p_holm"]
        for one in lines(folder, "comparisons.csv", ("method", "metric", "against", "p_holm"))
    }
    titles = ("Method", "Measure", "Null")
    columns = [*(Column(title, choice=True) for title in titles), Column("Difference", True), Column("p, Holm", True)]
    rows = []
    for method, both, one in found:
        metric, _, null = both.partition(ABOVE)
        p = corrected.get((method, metric, null), "")
        heads = (Cell(_spelt(name, words)) for name in (method, metric, null))
        rows.append(Line((*heads, _cell(one), Cell(number.shown(float(p)), key=float(p)) if p else Cell("–"))))
    says = (
        "The measure minus that of the null, paired over images, with 95 % intervals; p of Wilcoxon's signed ranks, "
        "corrected for all comparisons."
    )
    return _catalogue("nulls", "Differences from the nulls", says, "differences", columns, rows, artifact)


def _catalogue(
    part: str, title: str, says: str, noun: str, columns: Sequence[Column], rows: Sequence[Line], artifact: Artifact
) -> Catalogue:
    file = "table.csv"
    return Catalogue(
        f"{artifact.anchor}-{part}", title, says, noun, columns, rows, len(rows), file, f"{artifact.href}{file}",
        first=True,
    )  # fmt: skip


def _spelt(name: str, words: Mapping[str, str]) -> str:
    found = named(name, words)
    return found[:1].upper() + found[1:]


def _titled(metric: str, unit: str, words: Mapping[str, str]) -> str:
    return f"{_spelt(metric, words)}, {unit}" if unit in _IN_HEADING else _spelt(metric, words)


def _cell(one: Cells | None) -> Cell:
    if one is None:
        return Cell("–", key=float("nan"))
    row = one.row
    unit = "%" if row.unit == "%" else ""
    return Cell(
        number.shown(row.value, unit), key=row.value, between=number.interval(row.ci_low, row.ci_high, row.unit)
    )
