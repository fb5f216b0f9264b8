"""The pages of the site, for mkdocs: files of this repository at their own places, so that their links stay true."""

import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "docs/**/*.md", "docs/*.css", "notebooks/*.md",
    "notebooks/*.ipynb", "notebooks/figures/*.webp", "experiments/**/*.md", "experiments/**/*.webp",
    "benchmarks/*.md", "benchmarks/*.png",
)  # fmt: skip
CARDS = ("experiments/simonyan2013/*.md", "experiments/qin2018/*.md")


def on_config(config: MkDocsConfig) -> None:
    """Lists the notebooks and the cards in the navigation."""
    for section in _sections(config.nav or []):
        if "Tutorials" in section:
            section["Tutorials"] = [f"notebooks/{path.stem}.md" for path in sorted(ROOT.glob("notebooks/*.ipynb"))]
        if "Claims and figures" in section:
            paths = sorted((path for pattern in CARDS for path in ROOT.glob(pattern)), key=lambda path: path.stem)
            section["Claims and figures"] = [path.relative_to(ROOT).as_posix() for path in paths]


def _sections(nav: list[Any]) -> list[dict[str, Any]]:
    found = [item for item in nav if isinstance(item, dict)]
    return found + [
        one for item in found for value in item.values() if isinstance(value, list) for one in _sections(value)
    ]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Takes the files of `PAGES` in place of those of the folder `docs`, and notebooks as Markdown."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path in sorted({path for pattern in PAGES for path in ROOT.glob(pattern)}):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix == ".ipynb":
            files.append(File.generated(config, name.removesuffix("ipynb") + "md", content=_markdown(path)))
        else:
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def _markdown(notebook: Path) -> str:
    # They are stored without what they put out; notebooks/figures.py has kept their figures.
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    title, *parts = [_cell(cell, notebook, number) for number, cell in enumerate(cells)]
    run = f"*This page is the notebook `notebooks/{notebook.name}` with its figures: open it in Jupyter to run it.*"
    heading, _, text = title.partition("\n")
    return "\n\n".join([heading, run, text, *parts])


def _cell(cell: dict[str, Any], notebook: Path, number: int) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return source
    figure = f"figures/{notebook.stem}_{number}.webp"
    shown = f"\n\n![What this cell shows]({figure})" if (notebook.parent / figure).exists() else ""
    return f"```python\n{source}\n```{shown}"
