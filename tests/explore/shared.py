"""A network and photographs that are small enough to be explored in a test."""

import io
import zlib

import numpy as np
from PIL import Image
from safetensors.torch import save_file

import deepinside as di


def words(folder):
    """The words of the command line: a network with stored weights, and two photographs."""
    save_file(di.load("convnet_micro", weights="random").module.state_dict(), folder / "weights.safetensors")
    photographs = folder / "photographs"
    photographs.mkdir()
    for name in ("one", "two"):
        (photographs / f"{name}.png").write_bytes(photograph(len(name) + ord(name[0])))
    return ["model=convnet_micro", f"model.weights={folder / 'weights.safetensors'}", f"data.root={photographs}"]


def photograph(seed=0, kind="PNG", side=80):
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side + 20, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def bomb():
    """A PNG of a few hundred bytes that states 9,000 x 9,000 pixels."""
    file = io.BytesIO()
    Image.new("1", (9_000, 1)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[20:24] = (9_000).to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


HOSTILE = {
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "begin as neither"),
    "half.jpg": (photograph(kind="JPEG")[:2000], "truncated"),
    "half.png": (photograph()[:5000], "truncated"),
    "bomb.png": (bomb(), "9000x9000 pixels"),
    "empty.jpg": (b"", "begin as neither"),
    "<img src=x onerror=alert(1)>.png": (b"text", "begin as neither"),
}
