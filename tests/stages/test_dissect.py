"""Network Dissection from a Broden folder on disk to the tables."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.shared import SHARED, needs_shared

from deepinside.data.broden.reader import Broden
from deepinside.dissection.atlas import GAP, SIDE
from deepinside.dissection.labels import Labels
from deepinside.dissection.netdissect import read_result
from deepinside.dissection.probe_set import shuffled
from deepinside.dissection.score import detector_counts
from deepinside.stages import dissect, load

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = {"widths": [4, 5, 6, 6, 6], "hidden": [4, 4], "kernel": 5, "stride": 2, "input": 45, "resize": 45}
CATEGORIES = ("color", "object", "part", "scene")
# number, name, category with its images, coverage
LABELS = [(1, "red-c", "color(9)"), (2, "blue-c", "color(9)"), (3, "cat", "object(6)"),
          (4, "tail", "part(4);object(1)"), (5, "ear", "part(4)"), (6, "street-s", "scene(3)")]  # fmt: skip


def encoded(path, labels):
    pixels = np.zeros((*labels.shape, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = labels % 256, labels // 256
    Image.fromarray(pixels).save(path)


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def broden(tmp_path_factory):
    """Nine images of two sizes with every label form; one more carries no label."""
    root, random = tmp_path_factory.mktemp("broden"), np.random.default_rng(0)
    (root / "images").mkdir()
    rows = []
    for number in range(10):
        tall, wide = (60, 48) if number % 3 else (48, 60)
        name = f"{number}.png"
        Image.fromarray(random.integers(0, 256, (tall, wide, 3), dtype=np.uint8)).save(root / "images" / name)
        size = (tall // 2, wide // 2)
        colour, cat, tail, ear = (f"{number}_{kind}.png" for kind in ("color", "cat", "tail", "ear"))
        encoded(root / "images" / colour, random.integers(1, 3, size))
        encoded(root / "images" / cat, 3 * random.integers(0, 2, size))
        encoded(root / "images" / tail, 4 * random.integers(0, 2, size))
        encoded(root / "images" / ear, random.choice([0, 4, 5], size))
        parts = f"{tail};{ear}" if number % 2 else ""
        scene = "6" if number < 3 else ""
        cells = (colour, cat if number % 3 else "", parts, scene) if number < 9 else ("", "", "", "")
        rows.append((name, "train", tall, wide, *size, *cells))
    write_csv(root / "index.csv", ("image", "split", "ih", "iw", "sh", "sw", *CATEGORIES), rows)
    write_csv(
        root / "category.csv", ("name", "first", "last", "count", "frequency"), [(c, 1, 6, 6, 9) for c in CATEGORIES]
    )
    labels = [(n, name, cats, 9, 1.0, "") for n, name, cats in LABELS]
    write_csv(root / "label.csv", ("number", "name", "category", "frequency", "coverage", "syns"), labels)
    for category in CATEGORIES:
        own = [(c, n, name, 9, 2.0 if category == "part" else 1.0) for c, (n, name, cats) in enumerate(LABELS, 1)
               if f"{category}(" in cats]  # fmt: skip
        write_csv(root / f"c_{category}.csv", ("code", "number", "name", "frequency", "coverage"), own)
    return root


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    model = OmegaConf.merge(OmegaConf.load(CONF / "model" / "convnet.yaml"), SMALL)
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    load.run(OmegaConf.create({"model": model}), {}, folder)
    return folder


def config(root, **dissect_):
    chosen = OmegaConf.merge(OmegaConf.load(CONF / "dissect" / "default.yaml"), dissect_)
    model = OmegaConf.merge(OmegaConf.load(CONF / "model" / "convnet.yaml"), SMALL)
    machine = {"device": "cpu", "workers": 2, "threads": 1}
    concepts = {"root": str(root), "limit": None}
    return OmegaConf.create({"dissect": chosen, "concepts": concepts, "machine": machine, "model": model, "seed": 0})


QUICK = {"quantile": 0.05, "batch_size": 4, "cards": 1}


def made(cfg, network, out):
    out.mkdir(exist_ok=True)
    dissect.run(cfg, {"concepts": out, "network": network}, out)
    return out


@pytest.fixture(scope="module")
def artifact(broden, network, tmp_path_factory):
    return made(config(broden, layers="all", **QUICK), network, tmp_path_factory.mktemp("artifact"))


def table(folder):
    return pd.read_csv(folder / "table.csv").set_index("metric")["value"]


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_all_convolutions_after_their_relus(artifact):
    units = pd.read_csv(artifact / "units.csv")
    assert list(dict.fromkeys(units["layer"])) == ["relu1", "relu2", "relu3", "relu4", "relu5"]
    assert units.groupby("layer")["unit"].agg(list)["relu2"] == [0, 1, 2, 3, 4]
    expected = ["layer", "unit", "threshold", "category", "label", "score"]
    fields = [f"{c}-{f}" for c in CATEGORIES for f in ("label", "truth", "activation", "intersect", "iou")]
    added = ["second_label", "second_score", "selectivity", "score_low", "score_high", "null_score", "p_value"]
    assert list(units.columns) == expected + fields + added


def test_the_last_convolution_unless_other_layers_are_named(broden, network, artifact, tmp_path):
    out = made(config(broden, atlas=0, **QUICK), network, tmp_path / "out")
    units, all_layers = pd.read_csv(out / "units.csv"), pd.read_csv(artifact / "units.csv")
    last = all_layers[all_layers["layer"] == "relu5"].reset_index(drop=True)
    assert set(units["layer"]) == {"relu5"}  # of relu1 to relu5, relu6 and relu7
    assert units.equals(last)
    dissect.check(config(broden, layers="all"))


def test_every_row_adds_up(artifact):
    units = pd.read_csv(artifact / "units.csv")
    for category in CATEGORIES:
        truth, area, common = (units[f"{category}-{key}"] for key in ("truth", "activation", "intersect"))
        assert units[f"{category}-iou"].to_numpy() == pytest.approx((common / (truth + area - common)).to_numpy())
    assert (units["score"] == units[[f"{c}-iou" for c in CATEGORIES]].max(axis=1)).all()
    assert set(units["scene-truth"]) == {3 * 30 * 24}  # a label of the whole image covers its map
    assert set(units["part-label"]) <= {"tail", "ear"}  # tail is scored under the category that it covers most
    assert "tail" not in set(units["object-label"])


def test_counts_and_table(artifact):
    counts = pd.read_csv(artifact / "counts.csv")
    assert list(counts.columns) == ["layer", "rule", "category", "detector_units", "unique_detectors"]
    assert len(counts) == 5 * 2 * (1 + len(CATEGORIES))
    per = counts[(counts["rule"] == "per_category") & (counts["layer"] == "relu5")].set_index("category")
    assert per.loc["all", "unique_detectors"] == per.drop("all")["unique_detectors"].sum()
    numbers = table(artifact)
    assert numbers["images"] == 9
    assert numbers["images_set_aside"] == 0
    assert numbers["images_without_labels"] == 1
    assert numbers["images_with_scene"] == 3
    assert numbers["relu5.units"] == 6
    assert numbers["relu5.detectors"] == per.loc["all", "detector_units"]
    assert numbers["relu5.unique_detectors_per_category"] == per.loc["all", "unique_detectors"]


def test_intervals_permutation_test_and_selectivity(artifact):
    units, numbers = pd.read_csv(artifact / "units.csv"), pd.read_csv(artifact / "table.csv").set_index("metric")
    assert (units["score_low"] <= units["score_high"]).all()
    assert units["p_value"].between(1 / 1000, 1).all()
    assert units["null_score"].between(0, 1).all()
    assert (units["selectivity"] == units["score"] - units["second_score"]).all()
    # all nine images took part but the last, alone in its batch: beating every permutation is the least p
    better = units["p_value"] == units["p_value"].min()
    assert (units.loc[better, "score"] > 0).all()
    ends = pd.read_csv(artifact / "intervals.csv").set_index(["layer", "rule", "category"])
    row = ends.loc["relu5", "per_category", "all"]
    interval = numbers.loc["relu5.detectors", ["ci_low", "ci_high"]].tolist()
    assert interval == row[["detector_units_low", "detector_units_high"]].tolist()
    assert interval[0] <= numbers.loc["relu5.detectors", "value"] <= 6
    counts = pd.read_csv(artifact / "counts.csv")
    assert ends.reset_index()[counts.columns].equals(counts)
    assert numbers.loc["relu5.detectors_above_null", "value"] <= numbers.loc["relu5.detectors", "value"]
    for metric in ("detectors_null", "unique_detectors_null", "unique_detectors_above_null"):
        low, high = numbers.loc[f"relu5.{metric}", ["ci_low", "ci_high"]]
        assert low <= numbers.loc[f"relu5.{metric}", "value"] <= high


def test_other_thresholds_and_the_classic_table(artifact):
    found = pd.read_csv(artifact / "sensitivity.csv")
    counts = pd.read_csv(artifact / "counts.csv")
    assert found.set_index("iou").loc[0.04, list(counts.columns)].reset_index(drop=True).equals(counts)
    assert sorted(set(found["iou"])) == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1]
    again = read_result(artifact / "classic_relu5.csv", "relu5")
    own = counts[counts["layer"] == "relu5"].reset_index(drop=True)
    assert detector_counts(again, 0.04, CATEGORIES).equals(own)
    assert again["unit"].tolist() == list(range(6))


def test_rotation_changes_the_units_and_nothing_else(artifact, broden, network, tmp_path):
    plain = pd.read_csv(artifact / "units.csv").query("layer == 'relu5'").reset_index(drop=True)
    options = {"layers": ["relu5"], **QUICK}
    none = pd.read_csv(made(config(broden, **options), network, tmp_path / "none") / "units.csv")
    half = pd.read_csv(made(config(broden, rotation=0.5, **options), network, tmp_path / "half") / "units.csv")
    assert none["score"].tolist() == plain["score"].tolist()
    assert half["score"].tolist() != plain["score"].tolist()
    # masks of any direction cover the same share of positions, and the truth is nobody's unit
    assert half["scene-truth"].tolist() == plain["scene-truth"].tolist()
    assert "rotated by Q^0.5" in (tmp_path / "half" / "pictures.csv").read_text()
    other = config(broden, rotation=0.5, rotation_seed=2, **options)
    assert (
        pd.read_csv(made(other, network, tmp_path / "other") / "units.csv")["score"].tolist() != half["score"].tolist()
    )


def test_ablation_says_what_each_class_loses(broden, network, tmp_path):
    out = made(config(broden, layers=["relu5"], ablate=2, input=45, **QUICK), network, tmp_path)
    found, units = pd.read_csv(out / "ablation.csv"), pd.read_csv(out / "units.csv")
    passed = units[units["score"] > 0.04].groupby("label").size()
    assert dict(zip(found["label"], found["units"], strict=True)).items() <= passed.to_dict().items()
    per = found.groupby("label")
    assert 1 <= len(per) <= 2
    assert (per[["named", "named_without"]].sum() == 9).all(axis=None)
    with pytest.raises(ValueError, match="choose one"):
        dissect.check(config(broden, ablate=1, rotation=0.5))


def test_shuffled_labels_are_those_of_pictures_of_the_same_size(broden, network, tmp_path):
    opened = Broden.open(broden)
    partners = shuffled(opened, 3)
    assert sorted(partners) == list(range(9))
    assert partners != list(range(9))
    assert all((opened.rows[i].sh, opened.rows[i].sw) == (opened.rows[j].sh, opened.rows[j].sw)
               for i, j in enumerate(partners))  # fmt: skip
    assert partners == shuffled(opened, 3)
    out = made(config(broden, layers=["relu5"], shuffle=True, **QUICK), network, tmp_path)
    assert table(out)["images_with_own_labels"] == sum(i == j for i, j in enumerate(shuffled(opened, 0)))
    assert "shuffled" in (out / "pictures.csv").read_text()


def test_pictures_are_listed_and_work_is_swept(artifact):
    listed = pd.read_csv(artifact / "pictures.csv")
    found = {path.relative_to(artifact).as_posix() for path in (artifact / "pictures").glob("*.png")}
    assert found == set(listed["file"])
    assert (listed["group"] == "units of relu3").sum() == 1
    assert listed["caption"].str.contains("receptive_field").all()
    assert not (artifact / "parts").exists()
    assert (artifact / "set_aside.csv").read_text() == "file,reason\n"


def test_top_images(artifact):
    top = pd.read_csv(artifact / "top_images.csv")
    one = top[(top["layer"] == "relu1") & (top["unit"] == 2)]
    assert one["rank"].tolist() == list(range(1, 10))
    assert sorted(one["image"]) == [f"{n}.png" for n in range(9)]
    assert one["peak"].is_monotonic_decreasing


def test_a_killed_run_leaves_the_same_bytes(artifact, broden, network, tmp_path, monkeypatch):
    def killing(name, at):
        plain, calls = getattr(Labels, name), 0

        def killed(*args):
            nonlocal calls
            calls += 1
            if calls == at:
                raise KeyboardInterrupt
            return plain(*args)

        monkeypatch.setattr(Labels, name, killed)

    cfg = config(broden, layers="all", **QUICK)
    cfg.machine.workers = 1  # one thread reads in order; the number of threads is no part of the result
    killing("of", 7)  # in the first pass
    killing("unpacked", 3)  # in the second, after its first batch, which has images of two sizes
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            made(cfg, network, tmp_path / "again")
        assert (tmp_path / "again" / "parts" / "survey" / "00000000.npz").exists()
    assert [path.name for path in (tmp_path / "again" / "parts" / "tally").glob("*.npz")] == ["00000000.npz"]
    assert contents(made(cfg, network, tmp_path / "again")) == contents(artifact)


def test_a_rotation_says_what_it_costs_and_transfer_what_the_peaks_know(broden, network, tmp_path):
    # scenes of nine images: three carry `street`, none another
    with pytest.raises(KeyError, match="scene"):
        made(config(broden, transfer="scenes", **QUICK), network, tmp_path / "wrong")
    cfg = config(broden, layers=["relu2", "relu5"], rotation=1.0, transfer="scene", **QUICK)
    rows = table(made(cfg, network, tmp_path / "turned"))
    assert all(rows[f"{layer}.rotation.logits_moved"] < 1e-3 for layer in ("relu2", "relu5"))
    assert not [metric for metric in rows.index if "transfer" in metric]  # one label alone


def test_an_early_epoch(broden, network, tmp_path):
    early = tmp_path / "early"
    shutil.copytree(network, early)
    (early / "epochs").mkdir()
    weights = load_file(early / "model.safetensors")
    save_file(
        {key: -value if value.ndim == 4 else value for key, value in weights.items()}, early / "epochs/0002.safetensors"
    )
    whole = pd.read_csv(made(config(broden, layers=["relu2"], **QUICK), early, tmp_path / "end") / "units.csv")
    cfg = config(broden, layers=["relu2"], epoch=2, **QUICK)
    then = pd.read_csv(made(cfg, early, tmp_path / "then") / "units.csv")
    assert not np.allclose(whole["threshold"], then["threshold"])
    cfg.train = {"keep": [1, 4]}
    cfg.model.fit, cfg.model.weights = True, None
    with pytest.raises(ValueError, match=r"\[1, 4\], got 2"):
        dissect.check(cfg)


def spoil(path):
    """Beginning and end stay whole: found when it is decoded."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = bytes(8)
    path.write_bytes(content)


def test_bad_rows_are_named_and_counted(broden, network, tmp_path):
    root = tmp_path / "broden"
    shutil.copytree(broden, root)
    (root / "images" / "4_cat.png").unlink()
    spoil(root / "images" / "7.png")
    out = made(config(root, layers=["relu2"], **QUICK), network, tmp_path / "out")
    assert [file for file, _ in Broden.open(root).set_aside] == ["images/4_cat.png"]  # which `concepts` counts
    aside = pd.read_csv(out / "set_aside.csv")
    assert aside["file"].tolist() == ["images/7.png"]
    assert not aside["reason"].str.contains(str(tmp_path)).any()
    assert table(out)["images_set_aside"] == 1
    assert table(out)["images"] == 7
    assert not {"4.png", "7.png"} & set(pd.read_csv(out / "top_images.csv")["image"])


def edited(broden, tmp_path, change):
    """A copy of the probe set whose index has been changed, row by row."""
    root = tmp_path / "broden"
    shutil.copytree(broden, root)
    with (root / "index.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    write_csv(root / "index.csv", header, [change(dict(zip(header, row, strict=True))).values() for row in rows])
    return root


def test_a_category_without_pictures_is_empty_and_counted(broden, network, tmp_path):
    root = edited(broden, tmp_path, lambda row: row | {"scene": ""})
    out = made(config(root, layers=["relu2"], **QUICK), network, tmp_path / "out")
    assert table(out)["images_with_scene"] == 0
    units = pd.read_csv(out / "units.csv")
    assert units[[f"scene-{field}" for field in ("label", "truth", "activation", "intersect", "iou")]].isna().all(None)
    ends = pd.read_csv(out / "intervals.csv").query("category == 'scene'")
    assert (ends.drop(columns=["layer", "rule", "category"]) == 0).all(axis=None)
    assert "scene-iou" not in pd.read_csv(out / "classic_relu2.csv").columns
    with pytest.raises(ValueError, match="usable rows"):
        made(config(root, categories=["scene"], **QUICK), network, tmp_path / "none")
    with pytest.raises(KeyError, match="scene"):
        made(config(root, categories=["sceen"], **QUICK), network, tmp_path / "misspelt")


def test_a_label_map_larger_than_its_picture_is_set_aside(broden, network, tmp_path):
    def change(row):
        return row | {"sh": "61", "color": "", "object": "", "part": ""} if row["image"] == "2.png" else row

    out = made(config(edited(broden, tmp_path, change), layers=["relu2"], **QUICK), network, tmp_path / "out")
    aside = pd.read_csv(out / "set_aside.csv")
    assert aside["file"].tolist() == ["images/2.png"]
    assert "no larger than its image, got 24x61 for 48x60" in aside["reason"].item()
    assert table(out)["images_set_aside"] == 1


def test_unknown_labels_and_missing_pictures_are_set_aside(broden, network, tmp_path):
    root = edited(broden, tmp_path, lambda row: row | {"scene": "9"} if row["image"] == "0.png" else row)
    (root / "images" / "3.png").unlink()
    encoded(root / "images" / "5_color.png", np.full((30, 24), 7))
    out = made(config(root, layers=["relu2"], **QUICK), network, tmp_path / "out")
    listed = dict(Broden.open(root).set_aside)
    assert sorted(listed) == ["images/0.png", "images/3.png"]
    assert "got [9]" in listed["images/0.png"]
    aside = pd.read_csv(out / "set_aside.csv").set_index("file")["reason"]
    assert aside.index.tolist() == ["images/5_color.png"]
    assert "got [7]" in aside["images/5_color.png"]
    assert table(out)["images_set_aside"] == 1
    assert table(out)["images"] == 6


def test_no_picture_left(broden, network, tmp_path):
    root = tmp_path / "broden"
    shutil.copytree(broden, root)
    for number in range(10):
        spoil(root / "images" / f"{number}.png")
    with pytest.raises(ValueError, match="were all images skipped"):
        made(config(root, layers=["relu2"], **QUICK), network, tmp_path / "out")


def test_one_pass_or_two_leave_the_same_bytes(artifact, broden, network, tmp_path):
    two = made(config(broden, layers="all", memory_gb=0, **QUICK), network, tmp_path)
    assert contents(two) == contents(artifact)


def test_limit_categories_input_and_one_layer(broden, network, tmp_path):
    cfg = config(broden, layers="relu1", categories=["part", "scene"], input=45, top_images=2, **QUICK)
    cfg.concepts.limit = 5
    out = made(cfg, network, tmp_path / "out")
    units = pd.read_csv(out / "units.csv")
    assert [c for c in units.columns if c.endswith("-iou")] == ["part-iou", "scene-iou"]
    # of the nine, 0 1 2 have a scene, 1 3 5 7 have parts: sorted, the first five are 0 1 2 3 5
    assert set(pd.read_csv(out / "top_images.csv")["image"]) <= {"0.png", "1.png", "2.png", "3.png", "5.png"}
    assert table(out)["images"] == 5
    assert table(out)["images_without_labels"] == 4


def test_misspelt_settings_fail_before_any_work(broden):
    with pytest.raises(KeyError, match="did you mean 'relu5'"):
        dissect.check(config(broden, layers=["rellu5"]))
    with pytest.raises(ValueError, match="did you mean 'resize'"):
        dissect.check(config(broden, upsample="resized"))
    with pytest.raises(ValueError, match="did you mean 'image'"):
        dissect.check(config(broden, activation="images"))
    with pytest.raises(ValueError, match="quantile"):
        dissect.check(config(broden, quantile=1.0))
    with pytest.raises(ValueError, match=r"rotation in \[0, 1\], got 1\.5"):
        dissect.check(config(broden, rotation=1.5))
    with pytest.raises(ValueError, match="permutations of at least 0"):
        dissect.check(config(broden, permutations=-1))
    with pytest.raises(ValueError, match="batch"):
        dissect.check(config(broden, batch_size=0))
    dissect.check(config(broden, layers=["relu5", "conv1"]))


def test_a_layer_without_maps(broden, network, tmp_path):
    with pytest.raises(ValueError, match=r"'fc6' has activations of shape \(1, 4\)"):
        made(config(broden, layers=["fc6"], input=45), network, tmp_path / "out")


@needs_shared
@pytest.mark.parametrize(
    ("name", "per_category", "top_label"), [("imagenet", 61, 50), ("places205", 79, 60), ("places365", 91, 72)]
)
def test_counts_a_published_table(name, per_category, top_label, tmp_path):
    file = SHARED / "data" / "netdissect_tables" / f"caffe_reference_{name}.csv"
    cfg = config("nowhere", from_csv=str(file))
    dissect.check(cfg)
    dissect.run(cfg, {}, tmp_path)
    counts = pd.read_csv(tmp_path / "counts.csv").set_index(["rule", "category"])
    assert counts.loc[("per_category", "all"), "unique_detectors"] == per_category
    assert counts.loc[("top_label", "all"), "unique_detectors"] == top_label
    assert table(tmp_path)["published.units"] == 256
    assert len(pd.read_csv(tmp_path / "units.csv")) == 256
    again = read_result(tmp_path / "classic_published.csv", "conv5")
    assert detector_counts(again, 0.04)["unique_detectors"].iloc[0] == per_category
    assert 0.08 in set(pd.read_csv(tmp_path / "sensitivity.csv")["iou"])
    assert not (tmp_path / "intervals.csv").exists()


def test_every_unit_has_its_strongest_pictures_dark_where_it_is_silent(broden, network, tmp_path):
    out = made(config(broden, layers=["relu2", "relu5"], atlas=3, **QUICK), network, tmp_path / "out")
    places, units = pd.read_csv(out / "atlas.csv"), pd.read_csv(out / "units.csv")
    assert places[["layer", "unit"]].equals(units[["layer", "unit"]])
    assert set(places["width"]) == {3 * SIDE + 2 * GAP}
    tops = pd.read_csv(out / "top_images.csv")
    for place in places.itertuples():
        with Image.open(out / place.file) as sheet:
            box = (place.left, place.top, place.left + place.width, place.top + place.height)
            strip = np.asarray(sheet.convert("RGB").crop(box)).astype(float)
        assert strip.shape == (SIDE, 3 * SIDE + 2 * GAP, 3)
        named = tops[(tops["layer"] == place.layer) & (tops["unit"] == place.unit)]["image"].tolist()[:3]
        for at, name in enumerate(named):
            with Image.open(broden / "images" / name) as picture:
                scale = SIDE / max(picture.size)
                size = tuple(round(side * scale) for side in picture.size)
                own = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)).astype(float)
            top, left = (SIDE - size[1]) // 2, at * (SIDE + GAP) + (SIDE - size[0]) // 2
            shown = strip[top : top + size[1], left : left + size[0]]
            dark = np.abs(shown - 0.35 * own).mean(axis=2) < 40
            bright = np.abs(shown - own).mean(axis=2) < 40
            assert (dark | bright).mean() > 0.85  # the others are the line around the mask, and what WebP loses


def test_none_are_drawn_where_none_are_asked_for(broden, network, tmp_path):
    out = made(config(broden, layers=["relu2"], atlas=0, **QUICK), network, tmp_path / "out")
    assert not (out / "atlas").exists()
    assert not (out / "atlas.csv").exists()


@pytest.mark.parametrize(
    ("kind", "layer", "tiny"),
    [
        ("recurrent", "rows1", {"stem": [4], "width": 5, "layers": 1}),
        ("attention", "block1", {"stem": [4, 6], "depth": 1, "heads": 2}),
        ("attention", "block1.gelu", {"stem": [4, 6], "depth": 1, "heads": 2}),
    ],
)
def test_units_of_a_recurrent_network_and_of_tokens(broden, tmp_path, kind, layer, tiny):
    model = OmegaConf.merge(OmegaConf.load(CONF / "model" / f"{kind}.yaml"), tiny, {"input": 16, "resize": 16})
    torch.manual_seed(0)
    (tmp_path / "network").mkdir()
    load.run(OmegaConf.create({"model": model}), {}, tmp_path / "network")
    units = pd.read_csv(
        made(config(broden, layers=[layer], input=16, **QUICK), tmp_path / "network", tmp_path / "out") / "units.csv"
    )
    assert len(units) == {"rows1": 5, "block1": 6, "block1.gelu": 12}[layer]
    assert units["color-iou"].between(0, 1).all()
    assert (units["color-activation"] > 0).any()
