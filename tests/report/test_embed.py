import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.report.artifacts import artifact, picture

from deepinside.report.embed import DRAWN, LEVELS, BadPicture, Embedded, Level, embed, embed_all
from deepinside.report.exhibit import FEWEST, Exhibits, gallery, hang
from deepinside.report.folder import Listed, read
from deepinside.report.page import Artifact


def opened(embedded):
    head, content = embedded.uri.split(",", maxsplit=1)
    return head, Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_small_file_is_embedded_as_it_is(tmp_path):
    picture(tmp_path / "a.png", height=20, width=30)
    head, image = opened(embedded := embed(tmp_path / "a.png", tmp_path))
    assert head == "data:image/png;base64"
    assert (embedded.width, embedded.height) == image.size == (30, 20)
    assert base64.b64decode(embedded.uri.split(",")[1]) == (tmp_path / "a.png").read_bytes()


def test_a_photograph_is_reduced_and_looks_the_same(tmp_path):
    down, across = np.mgrid[:600, :900]
    waves = np.stack([np.sin(across / 40), np.cos(down / 30), np.sin((down + across) / 50)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 4, waves.shape)
    pixels = np.clip(127 + 100 * waves + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    head, image = opened(embed(tmp_path / "a.png", tmp_path, Level(side=2000, quality=86, unchanged=0)))
    assert (head, image.size) == ("data:image/webp;base64", (900, 600))
    assert np.abs(np.asarray(image.convert("RGB"), dtype=float) - pixels).mean() < 6
    assert opened(embed(tmp_path / "a.png", tmp_path, Level(side=450, quality=86, unchanged=0)))[1].size == (450, 300)


def test_a_drawing_keeps_every_pixel_and_transparency_is_white(tmp_path):
    drawing = Image.new("RGBA", (1200, 800), (0, 0, 0, 0))
    pen = ImageDraw.Draw(drawing)
    for n in range(200):
        pen.line((6 * n, 0, 1200 - 5 * n, 800), fill=(10, n, 200, 255))
    drawing.save(tmp_path / "a.png")
    assert LEVELS[0].unchanged < (tmp_path / "a.png").stat().st_size < DRAWN * 1200 * 800
    head, image = opened(embed(tmp_path / "a.png", tmp_path))
    on_white = Image.alpha_composite(Image.new("RGBA", drawing.size, "white"), drawing).convert("RGB")
    assert head == "data:image/webp;base64"
    assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(on_white))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "I;16"])
def test_every_kind_of_pixel_can_be_shown(tmp_path, mode):
    name = "a.jpg" if mode == "CMYK" else "a.png"
    grey = np.linspace(0, 255, 300 * 400).reshape(300, 400).astype(np.uint16 if mode == "I;16" else np.uint8)
    (Image.fromarray(grey) if mode in {"L", "I;16"} else Image.fromarray(grey).convert(mode)).save(tmp_path / name)
    assert embed(tmp_path / name, tmp_path, Level(100, 80, 0)).width == 100


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", encoding="utf-8")
    picture(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:300])
    (tmp_path / "inside").mkdir()
    picture(tmp_path / "outside.png")
    (tmp_path / "inside" / "link.png").symlink_to(tmp_path / "outside.png")
    for path, within, why in (
        (tmp_path / "a.svg", tmp_path, "no readable"),
        (tmp_path / "cut.png", tmp_path, "no readable"),
        (tmp_path / "none.png", tmp_path, "missing"),
        (tmp_path / "inside" / "link.png", tmp_path / "inside", "outside"),
    ):
        with pytest.raises(BadPicture, match=why):
            embed(path, within)


def test_levels_are_gone_down_until_all_fit(tmp_path):
    for n in range(2):
        picture(tmp_path / f"{n}.png", height=200, width=500, seed=n)
    pictures = [(tmp_path / f"{n}.png", tmp_path) for n in range(2)]
    sizes = {}
    for level in LEVELS:
        sizes[level] = sum(len(embed(*one, level).uri) for one in pictures)
    wanted = LEVELS[-2]
    good, bad = embed_all([*pictures, (tmp_path / "x.png", tmp_path)], budget=sizes[wanted], workers=2)
    assert sum(len(one.uri) for one in good.values()) == sizes[wanted] < sizes[LEVELS[-3]]
    assert bad == {tmp_path / "x.png": "is missing"}
    assert good == embed_all(pictures, budget=sizes[wanted])[0]


def test_files_that_are_small_are_reduced_too_where_the_page_is_full(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")  # noise: 19 kB
    first, last = (len(embed(tmp_path / "a.png", tmp_path, level).uri) for level in (LEVELS[0], LEVELS[-1]))
    assert last < 0.5 * first


def test_a_gallery_that_still_does_not_fit_is_cut(tmp_path):
    folder = artifact(tmp_path, "dissect", "d0", pictures=[("units", f"{n}", "") for n in range(20)])
    full = hang([read("dissect", folder)], most=16, budget=1e9)
    assert (full.most, len(full.embedded)) == (16, 16)
    assert hang([read("dissect", folder)], most=16, budget=1).most == FEWEST


@pytest.mark.parametrize(
    ("sizes", "grid", "long"),
    [
        ([(90, 120)] * 2, "tiny", [False, False]),
        ([(192, 192)] * 2, "small", [False, False]),
        ([(470, 430)] * 3, "medium", [False] * 3),
        ([(400, 430), (410, 430), (300, 1000)], "medium", [False, False, True]),
        ([(640, 900)] * 2, "large", [False, False]),
        ([(640, 1100)] * 2, "banner", [False, False]),
        ([(640, 900), (630, 900), (300, 1000)], "large", [False, False, True]),
        ([(400, 1400)] * 2, "banner", [False, False]),
        ([(400, 1400)], "single", [False]),
    ],
)
def test_figures_hang_as_large_as_their_letters_need(sizes, grid, long):
    pictures = [Embedded("data:image/png;base64,", width, height) for height, width in sizes]
    listed = [Listed(f"{n}.png", "g", "", "", Path(f"{n}.png")) for n in range(len(pictures))]
    exhibits = Exhibits(dict(zip([one.path for one in listed], pictures, strict=True)), {}, 48, {("k", "g"): listed})
    owner = Artifact("k", "k", "", "s", "f", "a", "../../s/f/", "", (), (), (), (), ())
    hung = gallery(exhibits, owner, "g", {})
    assert (hung.size, [one.long for one in hung.pictures]) == (grid, long)
