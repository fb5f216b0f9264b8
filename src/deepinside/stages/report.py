"""The report: one web page, and every number in one file."""

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from deepinside.records import Row, Table
from deepinside.report.compose import compose
from deepinside.report.folder import Folder
from deepinside.report.page import Page, render, written
from deepinside.report.results import write_found, write_results, write_tables
from deepinside.report.settings import Settings

FEWEST_ROWS = 100  # tables of no more rows are not cut to keep the page small


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `index.html`, `report.md`, `results.csv`, `tables.csv`, `found.csv` and `table.csv`.

    The inputs are artifacts by key, `stage` or `stage.data.model`; missing ones are named on the page.
    """
    settings = Settings.of(OmegaConf.to_container(cfg.report, resolve=True))  # type: ignore[arg-type]
    name, workers = cfg.get("name") or "deepinside", max(1, cfg.machine.workers)
    page, folders, html = _fitted(inputs, settings, name, workers)
    (out / "index.html").write_text(html, encoding="utf-8", newline="\n")
    (out / "report.md").write_text(written(page), encoding="utf-8", newline="\n")
    write_results(folders, out / "results.csv")
    write_tables(page.sections, out / "tables.csv")
    write_found(page.found, out / "found.csv")
    _table(page, folders, (out / "index.html").stat().st_size).write(out)


def _fitted(inputs: dict[str, Path], settings: Settings, name: str, workers: int) -> tuple[Page, list[Folder], str]:
    # The page within its size: first with images as small as the text leaves room for, then with shorter tables.
    limit = settings.megabytes * 1e6
    room: float | None = None
    while True:
        page, folders = compose(inputs, settings, name, workers, budget=room)
        html = render(page)
        size = len(html.encode())
        if size <= limit or (room is not None and settings.rows_per_table <= FEWEST_ROWS):
            return page, folders, html
        if room is not None:  # about half of a large page are its long tables, with the images in them
            share = min(max(1 - 2 * (size - limit) / size, 0.5), 0.9)
            settings = replace(settings, rows_per_table=int(share * settings.rows_per_table))
        room = max(0.0, limit - (size - page.weight))


def _table(page: Page, folders: list[Folder], size: int) -> Table:
    galleries = [one for section in page.sections for part in section.parts for one in part.galleries]
    return Table(
        [
            Row("artifacts", len(page.artifacts)),
            Row("numbers", sum(len(folder.cells) for folder in folders)),
            Row("pictures", sum(one.shown for one in galleries)),
            Row("pictures_left_out", sum(one.left_out for one in galleries)),
            Row("things_missing", len(page.missing)),
            Row("page_size", size, "bytes"),
        ]
    )
