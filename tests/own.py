"""One's own images, boxes and network, as small as they can be, and the program run upon them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import deepinside
from deepinside.data.folder import index

NET = (
    "import torch\nfrom torch import nn\n\n\ndef net():\n"
    "    torch.manual_seed(0)\n"
    "    return nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(inplace=True), nn.Conv2d(8, 2, 3),\n"
    "                         nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
)
TINY = ["data=folder", "model=custom", "wandb=disabled", "machine.workers=0", "machine.threads=1"]
OWN = [*TINY, "data.root=pictures", "model.target=mine:net", "model.input=32", "model.resize=36"]
HANGS = 600  # seconds after which a process that should end is taken to hang, on a machine that others use too
_COLOURS = ((200, 30, 30), (30, 30, 200))


def lay(folder: Path, least: tuple[int, int] = (40, 48), box: tuple[int, int, int, int] = (12, 10, 36, 30)) -> Path:
    """Lays out three images of each of two classes, a red or a blue square on noise, and `mine.py`.

    Args:
        folder: where to; `pictures` and `mine.py` come into it.
        least: (h, w) of the first image of a class; the others are 4 and 8 pixels higher.
        box: x0 y0 x1 y1 of its square; that of the others lies 1 and 2 pixels farther right.

    Returns:
        The folder.
    """
    random = np.random.default_rng(0)
    (height, width), (x0, y0, x1, y1) = least, box
    lines = ["image,x0,y0,x1,y1"]
    for label, colour in enumerate(_COLOURS):
        for i in range(3):
            pixels = random.integers(90, 130, (height + 4 * i, width, 3), dtype=np.uint8)
            pixels[y0:y1, x0 + i : x1 + i] = colour
            path = folder / "pictures" / f"class_{label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            lines.append(f"class_{label}/{i}.png,{x0 + i},{y0},{x1 + i},{y1}")
    (folder / "pictures" / "boxes.csv").write_text("\n".join(lines) + "\n")
    (folder / "mine.py").write_text(NET)
    return folder


def hold_out(root: Path) -> Path:
    """Sees to it that training on these images, which have no splits, holds at least one of them out.

    Args:
        root: holds a folder per class.

    Returns:
        The same; bytes may stand behind the end of its last image, whose pixels stay.
    """
    last = sorted(root.rglob("*.png"))[-1]
    while not len(index(root).divided().split("val")):
        last.write_bytes(last.read_bytes() + b"\0")
    return root


def searched(place: Path) -> str:
    """PYTHONPATH of a child: a place of its own, and the very code that this process tests."""
    return os.pathsep.join((str(place), str(Path(deepinside.__file__).parents[1])))


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Runs `deepinside` there, where `mine` can be imported."""
    command = [sys.executable, "-m", "deepinside", *arguments]
    environment = os.environ | {"PYTHONPATH": searched(cwd), "COLUMNS": "100"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=HANGS)
