"""Small good files of every kind that is read, and how they are spoilt."""

import io
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from tests.data.trees import devkit, kaggle, kaggle_xml, picture, picture_bytes, shard, xml

from deepinside.data import folder, ilsvrc, imagenette, public, shards
from deepinside.data.annotation import Annotation
from deepinside.data.broden.reader import Broden
from deepinside.data.image import read_header, read_image
from deepinside.data.index import Index
from deepinside.data.reading import BadFile
from deepinside.dissection.netdissect import read_result
from deepinside.localisation import submission
from deepinside.models.checkpoint import read_weights
from deepinside.models.convnet import ConvNet
from deepinside.models.matconvnet import vgg_f

WORDS = (  # what a text or a table is spoilt with
    *(
        "nan",
        "inf",
        "-1",
        "0",
        "1e999",
        "1e308",
        "9" * 5000,
        "²",
        "٣",
        "",
        " ",
        ",",
        ";",
        '"',
        "\n",
        "\r",
        "\0",
        "\ufeff",
    ),
    *(
        "../outside/secret",
        "../outside/secret.png",
        "../../outside/secret",
        "/etc/passwd",
        "C:\\secret",
        "~",
        "a/" * 3000,
    ),
    *(
        "x" * 140_000,
        '"' + "x" * 140_000 + '"',
        "<script>alert(1)</script>",
        "=cmd()",
        "object(3);part(1)",
        "n00000000",
    ),
    *(
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        "&b;",
        "<![CDATA[",
        "</object>",
        "<object>",
        '<?xml version="1.0" encoding="utf-7"?>',
    ),
)


class Kind(NamedTuple):
    """How to lay out a folder with one file to spoil, and how it is read."""

    lay: Callable[[Path], Path]
    read: Callable[[Path, Path], object]


def spoilt(content: bytes) -> st.SearchStrategy[bytes]:
    """The content cut, doubled, with other bytes in it, or with words in it that mean harm."""
    place = st.integers(0, len(content))
    word = st.sampled_from([text.encode() for text in WORDS])
    patch = st.one_of(
        word, st.binary(max_size=8), st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xfe"])
    )
    change = st.tuples(place, st.integers(0, 12), patch)
    slices = st.tuples(place, place).map(lambda ends: content[min(ends) : max(ends)])
    return st.one_of(
        st.lists(change, min_size=1, max_size=4).map(lambda changes: _changed(content, changes)),
        place.map(lambda end: content[:end]),
        st.tuples(place, slices).map(lambda made: content[: made[0]] + made[1] + content[made[0] :]),
        st.binary(max_size=64),
    )


def _changed(content: bytes, changes: Iterable[tuple[int, int, bytes]]) -> bytes:
    for place, length, patch in changes:
        content = content[:place] + patch + content[place + length :]
    return content


def _pictures(root: Path) -> Path:
    for file in ("cat/1.jpg", "dog/2.png"):
        picture(root / file)
    (root / "boxes.csv").write_text("image,x0,y0,x1,y1\ncat/1.jpg,1,2,30,20\ndog/2.png,0.5,0,9,9\n")
    return root / "boxes.csv"


def _image(path: Path, mode: str, **options: object) -> Path:
    picture(path.with_suffix(".source"))
    Image.open(path.with_suffix(".source")).convert(mode).save(path, **options)
    path.with_suffix(".source").unlink()
    return path


def _deep(root: Path) -> Path:
    Image.fromarray(np.arange(0, 60_000, 500, dtype=np.uint16).reshape(10, 12)).save(root / "deep.png")
    return root / "deep.png"


def _decoded(_root: Path, path: Path) -> None:
    faults = []
    for read in (read_header, read_image):
        try:
            faults.append(read(path))
        except BadFile as error:
            faults.append(error)
    header, pixels = faults
    if not isinstance(pixels, BadFile):
        assert pixels.dtype == torch.uint8
        assert tuple(pixels.shape) == (3, header[1], header[0])
    for fault in faults:
        if isinstance(fault, BadFile):
            raise fault


def _annotated(_root: Path, path: Path) -> None:
    Annotation.read(path).of(path.stem, 40, 30).boxes({"n01440764"})


def _shard(root: Path) -> Path:
    long = "x" * 120 + "/é.png"  # needs pax attributes
    files = {"a.jpg": picture_bytes(), "a.cls": b"1", long: picture_bytes(kind="PNG")}
    return shard(root / "0.tar", files | {long.replace("png", "json"): {"label": 0, "boxes": [[1, 2, 30, 20]]}})


def _unpacked(root: Path, _path: Path) -> None:
    index = shards.index(root)
    _inside(index)
    for entry in index.entries:
        with suppress(BadFile):
            index.picture(entry)


def _apart(root: Path, text: str) -> Path:
    for folder_ in ("train", "val"):  # of a class that is neither of Imagenette nor of Imagewoof
        picture(root / f"data/{folder_}/n01443537/ILSVRC2012_val_{len(folder_):08d}.JPEG", 300, 200)
    (root / "boxes.csv").write_text(text)
    return root / "boxes.csv"


BOXES = "image,x0,y0,x1,y1,width,height\nILSVRC2012_val_00000003.JPEG,1,2,30,20,60,40\n"
SOLUTION = "ImageId,PredictionString\nILSVRC2012_val_00000003,n01443537 1 2 30 20 \nx,n01443537 1 2 3 4\n"


def _outlines(root: Path) -> Path:
    base = root / "caltech101"
    for category in ("BACKGROUND_Google", "cup"):
        picture(base / f"101_ObjectCategories/{category}/image_0001.jpg")
    (base / "Annotations/cup").mkdir(parents=True)
    file = base / "Annotations/cup/annotation_0001.mat"
    savemat(file, {"box_coord": np.array([[3, 10, 5, 20]], np.uint16)})
    return file


def _inside(index: Index) -> None:
    for entry in index.entries:
        assert (index.root / entry.file).resolve().is_relative_to(index.root.resolve())
        assert np.isfinite(entry.boxes.xyxy).all()


BRODEN = {
    "index.csv": "image,split,ih,iw,sh,sw,color,object,scene\n"
    "s/a.jpg,train,30,40,15,20,s/a_color.png,s/a_object.png;s/a_object.png,7\ns/b.jpg,val,30,40,15,20,s/a_color.png,,\n",
    "category.csv": "name,first,last,count,frequency\ncolor,1,1,1,2\nobject,2,3,2,2\nscene,7,7,1,1\n",
    "label.csv": "number,name,category,frequency,coverage,syns\n1,red-c,color(2),2,1.5,\n"
    "2,car,object(1);color(1),1,0.25,\n"
    "7,street-s,scene(1),1,1,\n",
    "c_object.csv": "code,number,name,frequency,coverage\n0,2,car,1,0.25\n",
    "c_color.csv": "code,number,name,frequency,coverage\n0,1,red-c,2,1.5\n1,2,car,1,0.125\n",
}


def _broden(file: str) -> Callable[[Path], Path]:
    def lay(root: Path) -> Path:
        for table, text in BRODEN.items():
            (root / table).write_text(text)
        for image in ("a", "b"):
            picture(root / f"images/s/{image}.jpg")
        for number, category in ((1, "color"), (2, "object")):
            labels = np.zeros((15, 20, 3), np.uint8)
            labels[3:, 4:, 0] = number
            Image.fromarray(labels).save(root / f"images/s/a_{category}.png")
        return root / file

    return lay


def _probed(root: Path, _path: Path) -> None:
    broden = Broden.open(root)
    for row in range(len(broden)):
        assert tuple(broden.image(row).shape[1:]) == (broden.rows[row].ih, broden.rows[row].iw)
        broden.segmentation(row)


def _lists(tree: Callable[[Path], Path], file: str) -> Callable[[Path], Path]:
    return lambda root: tree(root) / file


def _text(file: str, text: str) -> Callable[[Path], Path]:
    def lay(root: Path) -> Path:
        (root / file).write_text(text)
        return root / file

    return lay


def _blacklisted(root: Path) -> Path:
    devkit(root)
    (root / "data" / ilsvrc.BLACKLIST).write_text("1\n3\n")
    return root / "data" / ilsvrc.BLACKLIST


def _prepared(file: str) -> Callable[[Path], Path]:
    def lay(root: Path) -> Path:
        _pictures(root)
        (root / "prepared").mkdir()
        folder.index(root).write(root / "prepared")
        return root / "prepared" / file

    return lay


def _weights(suffix: str) -> Callable[[Path], Path]:
    def lay(root: Path) -> Path:
        tensors, path = (
            {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.zeros(3).half()},
            root / f"w.{suffix}",
        )
        if suffix == "safetensors":
            save_file(tensors, path)
        else:
            torch.save(tensors, path, _use_new_zipfile_serialization=suffix == "pt")
        return path

    return lay


def _finite(_root: Path, path: Path) -> None:
    assert all(bool(value.isfinite().all()) for value in read_weights(path).values())


def _struct(**fields: object) -> np.ndarray:
    value = np.empty((1, 1), dtype=[(field, object) for field in fields])
    for field, content in fields.items():
        value[field][0, 0] = content
    return value


def _cells(items: Iterable[object]) -> np.ndarray:
    items = list(items)
    value = np.empty((1, len(items)), dtype=object)
    for position, item in enumerate(items):
        value[0, position] = item
    return value


def matconvnet(path: Path, side: int = 63, **options: object) -> Path:
    """CNN-F in miniature, as `imagenet-vgg-f.mat` lays it out."""
    net = ConvNet(2, widths=(2, 2, 2, 2, 2), hidden=(3, 3), kernel=11, input=side)
    layers: list[object] = []
    for number, (part, pad) in enumerate(
        zip(("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"), (0, 2, 1, 1, 1, 0, 0, 0), strict=True)
    ):
        filters = getattr(net, part).weight.detach().numpy()
        filters = filters.reshape((*filters.shape, 1, 1)[:4]).transpose(2, 3, 1, 0)
        bias = getattr(net, part).bias.detach().numpy().reshape(1, -1)
        stride = 4.0 if number == 0 else 1.0
        layers.append(
            _struct(
                type="conv", weights=_cells([filters, bias]), stride=np.array([[stride]]), pad=np.array([[float(pad)]])
            )
        )
        layers += [_struct(type="relu")] if part != "fc8" else []
        layers += [_struct(type="lrn", param=np.array([[5, 2, 1e-4, 0.75]]))] if number < 2 else []
        pool = {"pool": np.array([[3.0, 3]]), "stride": np.array([[2.0]]), "pad": np.array([[0.0, 1, 0, 1]])}
        layers += [_struct(type="pool", method="max", **pool)] if number in {0, 1, 4} else []
    meta = _struct(
        normalization=_struct(
            imageSize=np.array([[side, side, 3.0]]), averageImage=np.zeros((side, side, 3), np.uint8)
        ),
        classes=_struct(name=_cells(["n00000002", "n00000001"]), description=_cells(["b", "a"])),
    )
    savemat(path, {"layers": _cells(layers), "meta": meta}, **options)
    return path


def png_bytes(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", **options)
    return stream.getvalue()


def _voc(root: Path) -> Path:
    return xml(root / "x.xml", [("n01440764", (1, 2, 20, 25)), ("n01443537", (0, 0, 3, 4))])


TABLE = """unit,category,label,score,object-label,object-truth,object-activation,object-intersect,object-iou
2,object,null,0.5,null,10,5.0,5,0.5
1,object,,0.0,,0,0.0,0,0
"""

KINDS = {
    "jpeg": Kind(lambda root: _image(root / "x.jpg", "RGB"), _decoded),
    "jpeg_progressive_cmyk": Kind(lambda root: _image(root / "x.jpg", "CMYK", progressive=True), _decoded),
    "png": Kind(lambda root: _image(root / "x.png", "RGBA"), _decoded),
    "png_palette": Kind(lambda root: _image(root / "x.png", "P", transparency=0), _decoded),
    "png_16_bits": Kind(_deep, _decoded),
    "xml": Kind(_voc, _annotated),
    "xml_of_a_tree": Kind(lambda root: kaggle_xml(kaggle(root), 2), lambda root, _path: _inside(ilsvrc.index(root))),
    "boxes": Kind(_pictures, lambda root, _path: _inside(folder.index(root))),
    "boxes_apart": Kind(
        lambda root: _apart(root, BOXES), lambda root, path: _inside(imagenette.index(root / "data", boxes=path))
    ),
    "solution_apart": Kind(
        lambda root: _apart(root, SOLUTION), lambda root, path: _inside(imagenette.index(root / "data", boxes=path))
    ),
    "outlines": Kind(_outlines, lambda root, _path: _inside(public.index(root, "Caltech101"))),
    "shard": Kind(_shard, _unpacked),
    "solution": Kind(_lists(kaggle, "LOC_val_solution.csv"), lambda root, _path: _inside(ilsvrc.index(root))),
    "mapping": Kind(_lists(kaggle, "LOC_synset_mapping.txt"), lambda root, _path: _inside(ilsvrc.index(root))),
    "list": Kind(_lists(kaggle, "ILSVRC/ImageSets/CLS-LOC/val.txt"), lambda root, _path: _inside(ilsvrc.index(root))),
    "truth": Kind(
        _lists(devkit, "data/ILSVRC2012_validation_ground_truth.txt"), lambda root, _path: _inside(ilsvrc.index(root))
    ),
    "meta": Kind(_lists(devkit, "data/meta.mat"), lambda root, _path: _inside(ilsvrc.index(root))),
    "blacklist": Kind(_blacklisted, lambda root, _path: ilsvrc.blacklist(root)),
    **{
        file.removesuffix(".csv"): Kind(_broden(file), _probed)
        for file in ("index.csv", "category.csv", "label.csv", "c_object.csv")
    },
    "label_map": Kind(_broden("images/s/a_object.png"), _probed),
    "matconvnet": Kind(lambda root: matconvnet(root / "f.mat"), lambda _root, path: vgg_f(weights=str(path))),
    "safetensors": Kind(_weights("safetensors"), _finite),
    "torch": Kind(_weights("pt"), _finite),
    "torch_old": Kind(_weights("pth"), _finite),
    "predictions": Kind(
        _text("predictions.txt", "7 1 2 3 4 8 0 0 9 9\n\n1,2,3,4,5\n"), lambda _root, path: submission.read(path)
    ),
    "line_numbers": Kind(_text("blacklist.txt", "1\n3\n"), lambda _root, path: submission.read_blacklist(path, 3)),
    "published": Kind(_text("conv5-result.csv", TABLE), lambda _root, path: read_result(path, "conv5")),
    **{
        file: Kind(_prepared(f"{file}.csv"), lambda root, path: _inside(Index.read(path.parent, root)))
        for file in ("images", "classes")
    },
    "prepared_boxes": Kind(_prepared("boxes.csv"), lambda root, path: _inside(Index.read(path.parent, root))),
}
