"""Small trees on disk, for the tests of the loaders."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

WNIDS = ("n01440764", "n01443537", "n01751748")
WORDS = ("tench, Tinca tinca", "goldfish, Carassius auratus", "sea snake")
Corners = tuple[float, float, float, float]


def name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}"


def picture(path: Path, width: int = 40, height: int = 30, **options: object) -> Path:
    """A smooth colour image, JPEG unless `format` says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack(
        [rows * 255 // max(height - 1, 1), columns * 255 // max(width - 1, 1), np.full_like(rows, 80)], -1
    )
    Image.fromarray(pixels.astype(np.uint8)).save(path, **{"format": "JPEG", "quality": 95, **options})
    return path


def shard(path: Path, files: Mapping[str, bytes | dict]) -> Path:
    """A tar of these files, as they are or as JSON, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def picture_bytes(width: int = 40, height: int = 30, colour: int = 80, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (colour, 90, 100)).save(stream, kind)
    return stream.getvalue()


def xml(
    path: Path,
    objects: Sequence[tuple[str, Corners]],
    *,
    image: str | None = None,
    size: tuple[int, int] = (40, 30),
    head: str = "",
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    items = "".join(
        f"<object><name>{wnid}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>"
        for wnid, (x0, y0, x1, y1) in objects
    )
    dimensions = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    filename = f"<filename>{path.stem if image is None else image}</filename>"
    path.write_text(f"{head}<annotation><folder>val</folder>{filename}{dimensions}{items}</annotation>")
    return path


def kaggle(root: Path, count: int = 3) -> Path:
    """Image i (from 1 on) is of class i - 1 (mod 3) and has the box 1 2 20+i 25, ends included."""
    for number in range(1, count + 1):
        wnid = WNIDS[(number - 1) % 3]
        picture(kaggle_picture(root, number))
        xml(kaggle_xml(root, number), [(wnid, (1, 2, 20 + number, 25))])
    lines = [f"{name(n)},{WNIDS[(n - 1) % 3]} 1 2 {20 + n} 25 \n" for n in range(count, 0, -1)]
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(lines))
    mapping = [f"{wnid} {words}\n" for wnid, words in zip(WNIDS, WORDS, strict=True)]
    (root / "LOC_synset_mapping.txt").write_text("".join(mapping))
    listed = root / "ILSVRC/ImageSets/CLS-LOC/val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("".join(f"{name(n)} {n}\n" for n in range(1, count + 1)))
    return root


def kaggle_picture(root: Path, number: int) -> Path:
    return root / f"ILSVRC/Data/CLS-LOC/val/{name(number)}.JPEG"


def kaggle_xml(root: Path, number: int) -> Path:
    return root / f"ILSVRC/Annotations/CLS-LOC/val/{name(number)}.xml"


NUMBERS = {490: "n01751748", 1: "n01443537", 7: "n01440764"}  # the kit's numbers are in no order of the WordNet ids


def meta(path: Path, *, id_field: str = "ILSVRC2012_ID", inner: bool = True) -> Path:
    """The kit's struct: leaves in the order of their numbers, then inner nodes of WordNet."""
    words = dict(zip(WNIDS, WORDS, strict=True))
    nodes = [(number, wnid, words[wnid], 0) for number, wnid in sorted(NUMBERS.items())]
    nodes += [(1001, "n00001740", "entity", 2), (1002, "n01000000", "animal", 3)] if inner else []
    fields = [
        (id_field, "O"),
        ("WNID", "O"),
        ("words", "O"),
        ("gloss", "O"),
        ("children", "O"),
        ("num_train_images", "O"),
    ]
    fields += [("num_children", "O")] if inner else []
    table = np.zeros((len(nodes), 1), dtype=fields)
    for row, (number, wnid, word, children) in zip(table[:, 0], nodes, strict=True):
        row[id_field], row["WNID"], row["words"], row["gloss"] = float(number), wnid, word, "a gloss"
        row["children"], row["num_train_images"] = np.arange(children) + 1.0, 1300.0
        if inner:
            row["num_children"] = float(children)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"synsets": table})
    return path


def devkit(root: Path, truth: Sequence[int] = (490, 7, 1)) -> Path:
    for number, kit_number in enumerate(truth, start=1):
        picture(root / f"val/{name(number)}.JPEG")
        xml(root / f"bbox/val/{name(number)}.xml", [(NUMBERS[kit_number], (1, 2, 20 + number, 25))])
    meta(root / "data/meta.mat")
    (root / "data/ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{n}\n" for n in truth))
    return root
