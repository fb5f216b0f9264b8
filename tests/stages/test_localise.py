"""A network that sees plain colours, on rectangles of plain colours: its maps and so its boxes are known.

Class 0 is red, 1 green, 2 blue; the score of a class is the mean of relu(own channel - 0.6), so its gradient is the
same on every pixel of the colour and zero elsewhere.
"""

import csv
import filecmp
import importlib.machinery
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tests.shared import SHARED, needs_shared

from deepinside.data.imagenet import synsets
from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.localisation import cases, submission
from deepinside.network import Network, Preprocessing
from deepinside.plots.localisation import steps
from deepinside.records import Boxes, Table
from deepinside.stages import localise, score

CONF = Path(__file__).resolve().parents[2] / "conf"
GREY = 90
# name, (height, width), class painted, label, box
DRAWN = (
    ("a", (64, 90), 0, 0, (10, 20, 50, 44)),
    ("b", (90, 64), 1, 1, (8, 30, 40, 70)),
    ("c", (64, 64), 2, 2, (4, 4, 60, 58)),
    ("d", (80, 64), 0, 1, (10, 10, 40, 40)),  # painted red, called green: classified wrongly
    ("e", (64, 96), 1, 1, (50, 12, 90, 52)),
)


class Colours(torch.nn.Module):
    def forward(self, x):
        return 10 * torch.relu(x - 0.6).mean(dim=(2, 3))


def network(classes=("red", "green", "blue"), module=None):
    plain = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=64, resize=64)
    return Network(module or Colours(), plain, classes, "colours")


def draw(folder, broken=False):
    (folder / "pictures").mkdir(parents=True)
    entries = []
    for name, (height, width), painted, label, (x0, y0, x1, y1) in DRAWN:
        pixels = np.random.default_rng(ord(name)).integers(GREY - 8, GREY + 8, (height, width, 3), dtype=np.uint8)
        pixels[y0:y1, x0:x1] = 20
        pixels[y0:y1, x0:x1, painted] = 240
        file = f"pictures/{name}.png"
        Image.fromarray(pixels).save(folder / file)
        entries.append(Entry(name, file, "val", label, Boxes(np.array([[x0, y0, x1, y1]])), width, height))
    if broken:
        (folder / "pictures" / "b.png").write_bytes((folder / "pictures" / "b.png").read_bytes()[:300])
    index = Index(folder, ("n0", "n1", "n2"), ("red", "green, verdant", "blue"), tuple(entries))
    prepared = folder / "prepared"
    prepared.mkdir()
    index.write(prepared)
    return prepared


def configuration(root, workers=1, **options):
    group = OmegaConf.merge(
        OmegaConf.load(CONF / "localise" / "simonyan2013.yaml"), {"batch_size": 2, "pictures": 1}, options
    )
    machine = {"device": "cpu", "workers": workers, "threads": 1}
    return OmegaConf.create(
        {"data": {"root": str(root), "split": "val", "limit": None}, "machine": machine, "localise": group, "seed": 0}
    )


def located(folder, monkeypatch, out="out", prepared=None, net=None, **options):
    monkeypatch.setattr(localise, "open_network", lambda _cfg, _path: net or network())
    prepared = prepared or draw(folder)
    (folder / out).mkdir(exist_ok=True)
    localise.run(configuration(folder, **options), {"prepare": prepared, "network": folder}, folder / out)
    return folder / out


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield located(tmp_path_factory.mktemp("localise"), monkeypatch, workers=2)


def lines(artifact, name="per_image.csv"):
    return list(csv.DictReader((artifact / name).open()))


def test_the_boxes_are_those_drawn(artifact):
    for line, (name, size, painted, label, box) in zip(lines(artifact), DRAWN, strict=True):
        assert (line["image"], int(line["label"]), int(line["label_1"])) == (name, label, painted)
        assert (int(line["height"]), int(line["width"])) == size
        assert [float(line[f"{edge}_1"]) for edge in ("x0", "y0", "x1", "y1")] == pytest.approx(box, abs=2)
        assert float(line["iou_1"]) > 0.85


class Thousand(Colours):
    def forward(self, x):
        return torch.cat([super().forward(x), x.new_zeros(len(x), 997)], dim=1)[:, ORDER]


ORDER = [3, 4, 5, *range(6, 700), 0, 1, 2, *range(700, 1000)]  # the three colours are outputs 697, 698, 699


def test_a_network_of_all_classes_of_imagenet_is_examined_on_three(tmp_path, monkeypatch, artifact):
    prepared = draw(tmp_path)
    wnids = list(synsets())
    with (prepared / "classes.csv").open("w") as file:
        file.write("label,id,name\n" + "".join(f"{i},{wnids[697 + i]},mine\n" for i in range(3)))
    ours = lines(located(tmp_path, monkeypatch, prepared=prepared, net=network(tuple(synsets().values()), Thousand())))
    for line, other in zip(ours, lines(artifact), strict=True):
        assert (line["image"], int(line["label"])) == (other["image"], int(other["label"]) + 697)
        assert int(line["label_1"]) == int(other["label_1"]) + 697
        assert line["iou_1"] == other["iou_1"]


def test_the_table_by_hand(artifact):
    """One of five is classified wrongly, but its second or third guess names it, with a box that finds nothing."""
    table = Table.read(artifact)
    assert table["top1_classification_error"][1:4] == (20, "%", 5)
    assert table["top5_classification_error"].value == 0
    assert table["top1_localisation_error"].value == 20
    # The map of an absent class is flat, its box the whole image: 900 / 5120 of it are the object.
    assert table["top5_localisation_error"].value == 20
    assert table["class_known_localisation_error"].value == 20
    # Shares of the image: 1/6, 2/9, 0.74, 0.18, 0.26: the whole image is right once.
    assert table["whole_image.class_known_localisation_error"].value == 80
    assert table["whole_image.top1_localisation_error"].value == 80
    assert table["images"].value == 5
    assert table["images_set_aside"].value == 0
    assert 0 <= table["top1_localisation_error"].ci_low < 20 < table["top1_localisation_error"].ci_high


def test_absent_classes_are_counted_as_not_found(artifact):
    found = [[line[f"found_{guess}"] for guess in (1, 2, 3)] for line in lines(artifact)]
    assert found == [["1", "0", "0"]] * 5
    assert Table.read(artifact)["guesses_without_object"].value == 10


def test_the_submission_says_the_same(artifact):
    guesses = submission.read(artifact / "predictions.txt")
    assert guesses.labels.shape == (5, 5)
    assert guesses.labels[:, 0].tolist() == [painted + 1 for _, _, painted, _, _ in DRAWN]
    assert not guesses.labels[:, 3:].any()  # three classes make three guesses
    written = [[float(line[f"{edge}_1"]) for edge in ("x0", "y0", "x1", "y1")] for line in lines(artifact)]
    assert guesses.boxes[:, 0].tolist() == written


def test_pictures_are_listed_with_true_captions(artifact):
    rows = lines(artifact, "pictures.csv")
    assert [row["file"] for row in rows] == [f"pictures/{kind}_1.png" for kind in ("best", "median", "worst")]
    assert rows[2]["title"].startswith("green, IoU 0.")  # of the synonyms the first
    assert rows[2]["caption"].startswith("d: class green, the true one;")
    assert all((artifact / row["file"]).stat().st_size > 5000 for row in rows)


@pytest.fixture
def grab_cut_of_seeds(monkeypatch):
    """Stands in for OpenCV, which is not installed: what is no seed stays what it was."""
    opencv = types.ModuleType("cv2")
    opencv.__spec__ = importlib.machinery.ModuleSpec("cv2", None)
    opencv.GC_BGD, opencv.GC_FGD, opencv.GC_PR_BGD, opencv.GC_PR_FGD, opencv.GC_INIT_WITH_MASK = range(5)
    opencv.setRNGSeed = opencv.grabCut = lambda *_: None
    monkeypatch.setitem(sys.modules, "cv2", opencv)
    monkeypatch.setattr(localise, "worker_pool", lambda _workers: ThreadPoolExecutor(1))


@pytest.mark.parametrize(
    ("options", "caption", "panels"),
    [
        (
            {"segmentation": "graph_cut", "foreground_quantile": 0.975},
            "seeds above the 97.5 % and below the 30 % quantile of the map. Chosen",
            ["seeds", "segmentation"],
        ),
        (
            {"segmentation": "threshold", "threshold": 0.25},
            "object: the largest part where the map is at least 25 % of its maximum. Chosen",
            ["above the threshold", "object"],
        ),
        (
            {"segmentation": "grab_cut"},
            "seeds above the 95 % and below the 30 % quantile of the map, extended by OpenCV's grabCut. Chosen",
            ["seeds", "segmentation"],
        ),
    ],
)
@pytest.mark.usefixtures("grab_cut_of_seeds")
def test_pictures_say_by_which_rule_the_object_was_found(tmp_path, monkeypatch, options, caption, panels):
    figures = []
    monkeypatch.setattr(cases, "steps", lambda *given: figures.append(steps(*given)) or figures[-1])
    rows = lines(located(tmp_path, monkeypatch, **options), "pictures.csv")
    assert all(f"crops ten, {caption}" in row["caption"] for row in rows)
    titles = [[axis.get_title() for axis in figure.axes[:5]] for figure in figures]
    assert titles == [["image", "map", *panels, "box"]] * len(rows)


def test_nothing_but_the_artifact_is_left(artifact):
    assert sorted(path.name for path in artifact.iterdir()) == [
        "panes.csv", "per_class.csv", "per_image.csv", "per_size.csv", "pictures", "pictures.csv", "predictions.txt",
        "set_aside.csv", "table.csv",
    ]  # fmt: skip


def identical(first, second):
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(second)) for path in second.rglob("*") if path.is_file())
    return filecmp.cmpfiles(first, second, names, shallow=False)[0] == names


def test_an_interrupted_run_with_other_workers_ends_the_same(artifact, tmp_path, monkeypatch):
    picture = Index.picture
    prepared = draw(tmp_path)

    def stop(self, entry):
        if entry.image == "d":
            raise KeyboardInterrupt
        return picture(self, entry)

    monkeypatch.setattr(Index, "picture", stop)
    with pytest.raises(KeyboardInterrupt):
        located(tmp_path, monkeypatch, prepared=prepared, workers=1)
    assert len(list((tmp_path / "out" / "parts").glob("*.npz"))) == 1

    read = []
    monkeypatch.setattr(Index, "picture", lambda self, entry: read.append(entry.image) or picture(self, entry))
    assert identical(located(tmp_path, monkeypatch, prepared=prepared, workers=1), artifact)
    assert read[:3] == ["c", "d", "e"], "a finished batch was computed again"  # what follows is drawn


def test_a_broken_picture_is_set_aside_and_counted(tmp_path, monkeypatch):
    out = located(tmp_path, monkeypatch, prepared=draw(tmp_path, broken=True), pictures=0)
    (row,) = lines(out, "set_aside.csv")
    assert row["file"] == "pictures/b.png"
    assert "expected a whole JPEG or PNG" in row["reason"]
    table = Table.read(out)
    assert (table["images"].value, table["images_set_aside"].value) == (4, 1)
    assert [line["image"] for line in lines(out)] == ["a", "c", "d", "e"]
    assert submission.read(out / "predictions.txt").labels[1].tolist() == [0] * 5  # its line stays


def test_blacklisted_images_count_for_classification_only(tmp_path, monkeypatch):
    prepared = draw(tmp_path)
    (prepared / "blacklist.csv").write_text("image\nd\nunknown\n")
    table = Table.read(located(tmp_path, monkeypatch, prepared=prepared, pictures=0))
    assert table["images_blacklisted"].value == 1
    assert table["top1_classification_error"][1:4] == (20, "%", 5)
    assert table["top1_localisation_error"][1:4] == (0, "%", 4)


def stripped(folder, **changes):
    prepared = draw(folder)
    index = Index.read(prepared, folder)
    entries = tuple(Entry(**{**vars(entry), **changes}) for entry in index.entries)
    Index(folder, index.ids, index.classes, entries).write(prepared)
    return prepared


class Convolved(torch.nn.Module):
    """The same scores, by a layer whose maps are the classes' own."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU())
        self.features[0].weight = torch.nn.Parameter(torch.eye(3)[:, :, None, None])
        self.features[0].bias = torch.nn.Parameter(torch.full((3,), -0.6))
        self.scores = torch.nn.Linear(3, 3)
        self.scores.weight, self.scores.bias = torch.nn.Parameter(torch.eye(3)), torch.nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return self.scores(10 * self.features(x).mean(dim=(2, 3)))


def convolved():
    plain = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=64, resize=64)
    return Network(Convolved(), plain, ("red", "green", "blue"), "convolved")


BEST = OmegaConf.load(CONF / "localise" / "best.yaml")
OURS = {key: BEST[key] for key in BEST if key not in {"defaults", "name"}}


@pytest.mark.parametrize("options", [OURS, {}])
def test_all_baselines_stand_beside_any_preset_and_workers_change_nothing(tmp_path, monkeypatch, options):
    prepared = draw(tmp_path)
    found = [
        located(
            tmp_path, monkeypatch, f"out{workers}", prepared, convolved(), workers=workers, baselines="all", **options
        )
        for workers in (1, 2)
    ]
    assert identical(*found)
    table = Table.read(found[0])
    for name in ("cam_rule", "tuned_threshold", "grad_cam", "random_weights", "permuted_maps", "whole_image"):
        for metric in ("top1_localisation_error", "top5_localisation_error", "class_known_localisation_error"):
            assert 0 <= table[f"{name}.{metric}"].value <= 100
    assert table["grad_cam.class_known_localisation_error"].value == 20
    # Four classes see their colour and nothing else; the fifth image shows nothing of its class.
    assert table["pointing_game_accuracy"].value == 80
    assert table["class_known_localisation_error"].value <= 20


@pytest.mark.parametrize("name", ["input_x_gradient", "occlusion", "guided"])
def test_the_map_of_any_method_leads_to_a_box(tmp_path, monkeypatch, name):
    options = {"segmentation": "threshold", "smoothing": 0.02, "crops": "centre", "baselines": "all"}
    chosen = {"map": {"saliency": 0.0, name: 1.0}, "arguments": {"occlusion": {"stride": 0.15}}}
    chosen["arguments"] = {key: value for key, value in chosen["arguments"].items() if key == name}
    table = Table.read(located(tmp_path, monkeypatch, net=convolved(), pictures=1, **options, **chosen))
    assert table["class_known_localisation_error"].value <= 40
    assert table["random_weights.class_known_localisation_error"].n == 5


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"map": {"ris": 1}}, KeyError, r"localise\.map: no method 'ris'; expected one of .*rise, saliency"),
        ({"map": {"class_model": 1}}, ValueError, "returns Images; expected a method that returns Maps: .*rise"),
        ({"map": {"saliency": 0.0}}, ValueError, "expected a weight above 0"),
        ({"map": {"rise": 1}, "arguments": {"rise": {"cuont": 9}}}, ValueError, "no parameter.*did you mean 'count'"),
        ({"map": {"rise": 1}, "arguments": {"saliency": {}}}, KeyError, r"localise\.arguments\.saliency"),
    ],
)  # fmt: skip
def test_a_method_without_maps_is_refused_before_any_work(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        localise.check(configuration(tmp_path, **options))


def test_a_broken_picture_among_all_baselines(tmp_path, monkeypatch):
    prepared = draw(tmp_path, broken=True)
    out = located(tmp_path, monkeypatch, prepared=prepared, net=convolved(), pictures=0, baselines="all", **OURS)
    assert Table.read(out)["permuted_maps.top1_localisation_error"].n == 4


def test_pictures_without_labels_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"none of the 5 .* has a class: use data=ilsvrc"):
        located(tmp_path, monkeypatch, prepared=stripped(tmp_path, label=-1))


def test_pictures_without_boxes_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected boxes, got none for 5 images"):
        located(tmp_path, monkeypatch, prepared=stripped(tmp_path, boxes=NO_BOXES))


def test_other_classes_than_the_networks_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"has 4 classes, the data in .* have 3"):
        located(tmp_path, monkeypatch, net=network(("red", "green", "blue", "grey")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crops": "tne"}, "did you mean 'ten'"),
        ({"rule": "gradients"}, "did you mean 'gradient'"),
        ({"baselines": "every"}, "known: plain, all"),
        ({"segmentation": "cut"}, "expected segmentation graph_cut or threshold"),
        ({"top": 0}, "localise.top: expected a whole number from 1 on"),
        ({"batch_size": "many"}, "localise.batch_size"),
        ({"foreground_quantile": 95}, "background_quantile <= foreground_quantile < 1"),
        ({"connectivity": 6}, "connectivity 4 or 8"),
        ({"components": 0}, "components of at least 1"),
    ],
)
def test_a_senseless_choice_is_refused_before_any_work(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        localise.check(configuration(tmp_path, **options))


@pytest.mark.parametrize("preset", ["simonyan2013", "best"])
def test_the_presets_are_sound_and_name_themselves(preset):
    literal = OmegaConf.load(CONF / "localise" / "simonyan2013.yaml")
    own = OmegaConf.load(CONF / "localise" / f"{preset}.yaml")
    assert own.name == preset
    assert own.keys() - {"defaults"} <= literal.keys()
    localise.check(OmegaConf.create({"localise": OmegaConf.merge(literal, own)}))


def test_the_defaults_in_code_are_those_of_the_literal_preset():
    assert localise.Settings.of(OmegaConf.load(CONF / "localise" / "simonyan2013.yaml")) == localise.Settings()


def scored(prepared, root, predictions, out, **options):
    group = {"labels": "wnid_rank", "blacklist": None} | options
    cfg = OmegaConf.create(
        {"predictions": str(predictions), "score": group, "data": {"root": str(root), "split": "val"}}
    )
    out.mkdir()
    score.check(cfg)
    score.run(cfg, {"prepare": prepared}, out)
    return out


def test_scoring_the_submission_gives_the_same_errors(artifact, tmp_path):
    folder = artifact.parent
    out = scored(folder / "prepared", folder, artifact / "predictions.txt", tmp_path / "score")
    columns = ("image", "cls_error_1", "loc_error_1", "cls_error_5", "loc_error_5")
    ours = [{column: line[column] for column in columns} for line in lines(artifact)]
    assert lines(out) == ours
    for metric in ("top1_localisation_error", "top5_classification_error"):
        assert Table.read(out)[metric] == Table.read(artifact)[metric]


def test_a_file_of_another_length_is_refused(artifact, tmp_path):
    (tmp_path / "short.txt").write_text("1 0 0 5 5\n")
    with pytest.raises(ValueError, match="one line for each of the 5 images of split val, in sorted order, got 1"):
        scored(artifact.parent / "prepared", artifact.parent, tmp_path / "short.txt", tmp_path / "score")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt: expected a prediction file"):
        scored(tmp_path, tmp_path, tmp_path / "none.txt", tmp_path / "score")


@needs_shared
def test_the_official_evaluation_code_answers_the_same(tmp_path):
    from deepinside.data import ilsvrc

    official, root = SHARED / "data" / "reference" / "ilsvrc_devkit_eval", SHARED / "data" / "ilsvrc_val_sample"
    ilsvrc.index(root).write(tmp_path)
    out = scored(tmp_path, root, official / "predictions.txt", tmp_path / "score", blacklist=official / "blacklist.txt")
    left_out = {int(word) for word in (official / "blacklist.txt").read_text().split()}
    for position, (ours, theirs) in enumerate(
        zip(lines(out), csv.DictReader((official / "expected_per_image.csv").open()), strict=True), 1
    ):
        expected = {
            key: "" if position in left_out and key.startswith("loc") else value for key, value in theirs.items()
        }
        assert ours == expected
    table = Table.read(out)
    totals = [line.split() for line in (official / "expected_totals.txt").open()]
    for guesses, metric in ((1, "top1"), (5, "top5")):
        words = next(words for words in totals if words[1] == str(guesses))
        assert f"{table[f'{metric}_classification_error'].value / 100:.6f}" == words[3]
        assert f"{table[f'{metric}_localisation_error'].value / 100:.6f}" == words[5]
