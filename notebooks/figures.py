"""Runs notebooks at their full settings and keeps their figures, which the documentation shows beside the code.

    pip install nbclient ipykernel
    python notebooks/figures.py                     # all of them, about half an hour on one core
    python notebooks/figures.py 04_localisation     # one

Notebooks are stored without what they put out. Each figure goes to figures/NOTEBOOK_CELL.webp, where CELL is the number
of the cell that showed it.
"""

import base64
import io
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).resolve().parent
WIDTH, QUALITY = 1000, 75


def figures(notebook: nbformat.NotebookNode) -> dict[int, list[Image.Image]]:
    """The images that each cell put out."""
    return {
        number: [
            Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))).convert("RGB")
            for output in cell.get("outputs", ())
            if "image/png" in output.get("data", {})
        ]
        for number, cell in enumerate(notebook.cells)
    }


def joined(images: list[Image.Image]) -> Image.Image:
    """Images one below the other, at most `WIDTH` pixels wide."""
    sheet = Image.new("RGB", (max(one.width for one in images), sum(one.height for one in images)), "white")
    top = 0
    for one in images:
        sheet.paste(one, (0, top))
        top += one.height
    sheet.thumbnail((WIDTH, sheet.height))
    return sheet


def main() -> None:
    """Runs the notebooks that were named, or all."""
    out = HERE / "figures"
    out.mkdir(exist_ok=True)
    for name in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.ipynb")):
        notebook, start = nbformat.read(HERE / f"{name}.ipynb", as_version=4), time.time()
        with tempfile.TemporaryDirectory() as folder:
            NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}}).execute()
        for old in out.glob(f"{name}_*.webp"):
            old.unlink()
        shown = {number: images for number, images in figures(notebook).items() if images}
        for number, images in shown.items():
            joined(images).save(out / f"{name}_{number}.webp", quality=QUALITY, method=6)
        print(f"{name}: figures of {len(shown)} cells, {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
