"""Adversarial and random prediction files on drawn images, against the rules written out once more."""

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from tests.stages.test_localise import DRAWN, draw, lines

from deepinside.data.imagenet import synsets
from deepinside.data.index import Index
from deepinside.records import Table
from deepinside.stages import score

BOX = {name: (x0, y0, x1 - 1, y1 - 1) for name, _, _, _, (x0, y0, x1, y1) in DRAWN}  # inclusive, as files are
LABEL = {name: label + 1 for name, _, _, label, _ in DRAWN}
NAMES = [name for name, *_ in DRAWN]


def scored(folder, text, blacklist=None):
    folder.mkdir()
    prepared = draw(folder)
    (folder / "predictions.txt").write_text(text)
    group = {"labels": "wnid_rank", "blacklist": None}
    if blacklist:
        (folder / "blacklist.txt").write_text(blacklist)
        group["blacklist"] = str(folder / "blacklist.txt")
    cfg = OmegaConf.create(
        {"predictions": str(folder / "predictions.txt"), "score": group, "data": {"root": str(folder), "split": "val"}}
    )
    (folder / "out").mkdir()
    score.run(cfg, {"prepare": prepared}, folder / "out")
    return folder / "out"


def group(label, box):
    return " ".join(map(str, (label, *box)))


def test_the_rules_on_adversarial_lines(tmp_path):
    x0, y0, x1, y1 = BOX["b"]
    text = [
        # a: the right box with a wrong label, then the right label with a box that touches by one pixel.
        group(2, BOX["a"]) + " " + group(1, (BOX["a"][2], BOX["a"][3], BOX["a"][2] + 9, BOX["a"][3] + 9)),
        # b: the same guess twice, the second time reaching outside so far that it covers twice the object.
        group(2, (0, 0, 3, 3)) + " " + group(2, (x0, y0, x1, 2 * y1 - y0 + 1)),
        # c: a sixth guess is right, and does not count.
        " ".join([group(1, BOX["c"])] * 5 + [group(3, BOX["c"])]),
        # d: no guess at all.
        "",
        # e: right, but blacklisted for localisation.
        group(2, BOX["e"]),
    ]
    out = scored(tmp_path / "1", "\n".join(text) + "\n", blacklist="5\n")
    errors = [
        [line[key] for key in ("cls_error_1", "loc_error_1", "cls_error_5", "loc_error_5")] for line in lines(out)
    ]
    assert errors == [
        ["1", "1", "0", "1"],
        ["0", "1", "0", "0"],
        ["1", "1", "1", "1"],
        ["1", "1", "1", "1"],
        ["0", "", "0", ""],
    ]
    table = Table.read(out)
    assert table["top5_localisation_error"][1:4] == (75, "%", 4)
    assert table["top5_classification_error"][1:4] == (40, "%", 5)


def plain(text, guesses, left_out):
    """eval_clsloc.m on the file itself, in loops over inclusive boxes."""
    answers = []
    for number, (name, line) in enumerate(zip(NAMES, text.splitlines(), strict=True), 1):
        words = [float(word) for word in line.split()]
        cls, loc = 1, 1
        for start in range(0, min(len(words), 5 * guesses), 5):
            label, x0, y0, x1, y1 = words[start : start + 5]
            if label != LABEL[name]:
                continue
            cls = 0
            u0, v0, u1, v1 = BOX[name]
            w, h = min(x1, u1) - max(x0, u0) + 1, min(y1, v1) - max(y0, v0) + 1
            union = (x1 - x0 + 1) * (y1 - y0 + 1) + (u1 - u0 + 1) * (v1 - v0 + 1) - w * h
            if w > 0 and h > 0 and w * h / union >= 0.5:
                loc = 0
        answers.append((str(cls), "" if number in left_out else str(loc)))
    return answers


@pytest.mark.parametrize("seed", range(6))
def test_random_files_against_the_rules_written_out(tmp_path, seed):
    random = np.random.default_rng(seed)
    text = ""
    for name in NAMES:
        groups = []
        for _ in range(random.integers(0, 8)):  # none to more than count
            box = np.array(BOX[name]) + random.integers(-12, 13, 4)
            box[2:] = np.maximum(box[2:], box[:2])
            groups.append(group(random.choice([LABEL[name], random.integers(0, 5)]), box))
        text += " ".join(groups) + "\n"
    out = lines(scored(tmp_path / "1", text, blacklist="2\n4\n"))
    for guesses in (1, 5):
        ours = [(line[f"cls_error_{guesses}"], line[f"loc_error_{guesses}"]) for line in out]
        assert ours == plain(text, guesses, {2, 4})


def test_labels_of_all_of_imagenet_on_data_with_some_of_its_classes() -> None:
    wnids = list(synsets())
    some = Index(Path("data"), (wnids[0], wnids[217], wnids[482]), ("tench", "springer", "cassette"), ())
    labels = np.array([[1, 218], [483, 2], [1001, 0]])
    cfg = OmegaConf.create({"score": {"labels": "imagenet"}})
    assert score.numbered(cfg, some, labels).tolist() == [[0, 1], [2, -1], [-1, -1]]
    with pytest.raises(ValueError, match=r"expected classes of ImageNet, got 'mine': set score.labels=wnid_rank"):
        score.numbered(cfg, Index(Path("data"), ("mine",), ("mine",), ()), labels)
