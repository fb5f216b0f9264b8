"""Both layouts of ILSVRC, what may be wrong in them, and the real thing."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.data.trees import (
    WNIDS,
    WORDS,
    devkit,
    kaggle,
    kaggle_picture,
    kaggle_xml,
    meta,
    name,
    picture,
    xml,
)
from tests.shared import SHARED, needs_shared

from deepinside.data import ilsvrc
from deepinside.data.index import Index

SAMPLE = SHARED / "data/ilsvrc_val_sample"
EVALUATION = SHARED / "data/reference/ilsvrc_devkit_eval"


def rows(index: Index) -> list[tuple[str, int, list[list[float]]]]:
    return [(entry.image, entry.label, entry.boxes.xyxy.tolist()) for entry in index.entries]


EXPECTED = [(name(n), n - 1, [[1, 2, 21 + n, 26]]) for n in (1, 2, 3)]  # files have the box 1 2 20+n 25


def test_kaggle_layout(tmp_path: Path) -> None:
    index = ilsvrc.index(kaggle(tmp_path))
    assert rows(index) == EXPECTED
    assert (index.ids, index.classes) == (WNIDS, WORDS)
    first = index.entries[0]
    assert (first.file, first.split) == (f"ILSVRC/Data/CLS-LOC/val/{name(1)}.JPEG", "val")
    assert (first.width, first.height) == (40, 30)
    assert index.set_aside == ()


def test_the_folder_ilsvrc_itself_may_be_the_root(tmp_path: Path) -> None:
    index = ilsvrc.index(kaggle(tmp_path) / "ILSVRC")
    assert rows(index) == EXPECTED
    assert index.entries[0].file.startswith("Data/CLS-LOC/val/")


def test_devkit_numbers_become_ranks_of_wordnet_ids(tmp_path: Path) -> None:
    index = ilsvrc.index(devkit(tmp_path, truth=(490, 7, 1)))
    # 490 -> n01751748, the third of the sorted leaves; 7 -> n01440764, the first; 1 -> n01443537, the second.
    # The ids of inner nodes, n00001740 and n01000000, sort before and between them and do not count.
    assert [entry.label for entry in index.entries] == [2, 0, 1]
    assert (index.ids, index.classes) == (WNIDS, WORDS)
    assert index.entries[0].boxes.xyxy.tolist() == [[1, 2, 22, 26]]


def test_devkit_of_2015_has_leaves_alone_and_another_name_for_the_number(tmp_path: Path) -> None:
    devkit(tmp_path)
    (tmp_path / "data/meta.mat").unlink()
    meta(tmp_path / "data/meta_clsloc.mat", id_field="ILSVRC2015_CLSLOC_ID", inner=False)
    assert [entry.label for entry in ilsvrc.index(tmp_path).entries] == [2, 0, 1]


@pytest.mark.parametrize(
    ("pictures", "boxes", "kit"),
    [
        ("ILSVRC2012_img_val", "ILSVRC2012_bbox_val_v3/val", "ILSVRC2012_devkit_t12/data"),
        ("val", "ILSVRC2012_bbox_val_v3", "devkit/data"),
        ("val", "Annotations/CLS-LOC/val", "."),
    ],
)
def test_devkit_in_other_places(tmp_path: Path, pictures: str, boxes: str, kit: str) -> None:
    source = devkit(tmp_path / "source")
    for old, new in (("val", pictures), ("bbox/val", boxes), ("data", kit)):
        (tmp_path / "tree" / new).mkdir(parents=True, exist_ok=True)
        for file in (source / old).iterdir():
            file.rename(tmp_path / "tree" / new / file.name)
    assert [entry.label for entry in ilsvrc.index(tmp_path / "tree").entries] == [2, 0, 1]


def test_validation_pictures_may_be_sorted_into_class_folders(tmp_path: Path) -> None:
    devkit(tmp_path)
    for number, wnid in ((1, WNIDS[2]), (2, WNIDS[0]), (3, WNIDS[1])):
        (tmp_path / f"val/{wnid}").mkdir()
        (tmp_path / f"val/{name(number)}.JPEG").rename(tmp_path / f"val/{wnid}/{name(number)}.JPEG")
    index = ilsvrc.index(tmp_path)
    assert [(entry.image, entry.label) for entry in index.entries] == [(name(1), 2), (name(2), 0), (name(3), 1)]


def test_a_part_of_the_validation_set_finds_its_lines_by_number(tmp_path: Path) -> None:
    devkit(tmp_path, truth=(490, 7, 1))
    (tmp_path / f"val/{name(2)}.JPEG").unlink()
    assert [(entry.image, entry.label) for entry in ilsvrc.index(tmp_path).entries] == [(name(1), 2), (name(3), 1)]


def test_devkit_without_boxes_still_has_labels(tmp_path: Path) -> None:
    devkit(tmp_path)
    for file in (tmp_path / "bbox/val").iterdir():
        file.unlink()
    (tmp_path / "bbox/val").rmdir()
    index = ilsvrc.index(tmp_path)
    assert [(entry.label, len(entry.boxes)) for entry in index.entries] == [(2, 0), (0, 0), (1, 0)]
    with pytest.raises(ValueError, match="bbox_val"):
        index.boxed()


def test_without_a_solution_labels_come_from_xml(tmp_path: Path) -> None:
    (kaggle(tmp_path) / "LOC_val_solution.csv").unlink()
    assert rows(ilsvrc.index(tmp_path)) == EXPECTED


def test_without_xml_boxes_come_from_the_solution(tmp_path: Path) -> None:
    kaggle_xml(kaggle(tmp_path), 2).unlink()
    assert rows(ilsvrc.index(tmp_path)) == EXPECTED
    for number in (1, 3):
        kaggle_xml(tmp_path, number).unlink()
    kaggle_xml(tmp_path, 1).parent.rmdir()
    assert rows(ilsvrc.index(tmp_path)) == EXPECTED


def test_several_instances_in_solution_and_xml_in_any_order(tmp_path: Path) -> None:
    kaggle(tmp_path, 1)
    xml(kaggle_xml(tmp_path, 1), [(WNIDS[0], (5, 5, 9, 9)), (WNIDS[0], (0, 0, 3, 3)), (WNIDS[1], (1, 1, 2, 2))])
    line = f"{name(1)},{WNIDS[0]} 0 0 3 3 {WNIDS[0]} 5 5 9 9 \n"
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + line)
    # Only boxes of the label's class count (eval_clsloc.m), half-open, in the order of the XML file.
    assert rows(ilsvrc.index(tmp_path)) == [(name(1), 0, [[5, 5, 10, 10], [0, 0, 4, 4]])]


def test_train_and_all(tmp_path: Path) -> None:
    kaggle(tmp_path)
    folder = tmp_path / "ILSVRC/Data/CLS-LOC/train"
    boxes = tmp_path / "ILSVRC/Annotations/CLS-LOC/train"
    for stem in ("n01443537_7", "n01443537_10026", "n01440764_2"):
        picture(folder / stem.split("_", maxsplit=1)[0] / f"{stem}.JPEG")
    picture(folder / "n99999999/n99999999_1.JPEG")
    xml(boxes / "n01443537/n01443537_7.xml", [("n01443537", (0, 0, 9, 9))])
    xml(boxes / "n01440764/n01440764_2.xml", [("n01440764", (0, 0, 9, 9))], image="%s")
    index = ilsvrc.index(tmp_path, "train")
    assert rows(index) == [
        ("n01440764_2", 0, []),  # its XML names another image: set aside, but the label is sure
        ("n01443537_10026", 1, []),  # only some training images have boxes
        ("n01443537_7", 1, [[0, 0, 10, 10]]),
    ]
    assert [file.rpartition("/")[2] for file, _ in index.set_aside] == ["n01440764_2.xml", "n99999999_1.JPEG"]
    both = ilsvrc.index(tmp_path, "all")
    assert [entry.split for entry in both.entries] == ["train"] * 3 + ["val"] * 3
    assert rows(both.split("val")) == EXPECTED


def test_all_is_what_there_is(tmp_path: Path) -> None:
    assert rows(ilsvrc.index(kaggle(tmp_path), "all")) == EXPECTED
    with pytest.raises(FileNotFoundError, match=r"training images in train/<WordNet id>"):
        ilsvrc.index(tmp_path, "train")
    with pytest.raises(ValueError, match="split of train, val, all, got 'test'"):
        ilsvrc.index(tmp_path, "test")


# Each spoils image 2 of a Kaggle tree; the others stay.
def _truncated(root: Path) -> None:
    path = kaggle_picture(root, 2)
    path.write_bytes(path.read_bytes()[:10])


def _missing(root: Path) -> None:
    kaggle_picture(root, 2).unlink()


def _other_image(root: Path) -> None:
    xml(kaggle_xml(root, 2), [(WNIDS[1], (1, 2, 22, 25))], image=name(3))


def _other_size(root: Path) -> None:
    xml(kaggle_xml(root, 2), [(WNIDS[1], (1, 2, 22, 25))], size=(500, 375))


def _unknown_synset(root: Path) -> None:
    xml(kaggle_xml(root, 2), [("n99999999", (1, 2, 22, 25))])


def _broken_xml(root: Path) -> None:
    kaggle_xml(root, 2).write_text("<annotation><object>")


def _entities(root: Path) -> None:
    head = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
    xml(kaggle_xml(root, 2), [("&c;", (1, 2, 22, 25))], head=head)


def _other_class(root: Path) -> None:
    xml(kaggle_xml(root, 2), [(WNIDS[0], (1, 2, 22, 25))])


def _other_box(root: Path) -> None:
    xml(kaggle_xml(root, 2), [(WNIDS[1], (1, 2, 23, 25))])


def _no_object(root: Path) -> None:
    xml(kaggle_xml(root, 2), [])


def _solution_line(root: Path, line: str) -> None:
    path = root / "LOC_val_solution.csv"
    lines = [line if old.startswith(name(2)) else old for old in path.read_text().splitlines()]
    path.write_text("\n".join(lines))


def _short_solution(root: Path) -> None:
    _solution_line(root, f"{name(2)},{WNIDS[1]} 1 2 22")


def _two_classes_in_the_solution(root: Path) -> None:
    _solution_line(root, f"{name(2)},{WNIDS[1]} 1 2 22 25 {WNIDS[0]} 1 2 22 25")


def _no_numbers_in_the_solution(root: Path) -> None:
    _solution_line(root, f"{name(2)},{WNIDS[1]} 1 2 22 x")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_truncated, "JPEG or PNG"),
        (_missing, "no such file"),
        (_other_image, f"expected an annotation of {name(2)}, got one of '{name(3)}'"),
        (_other_size, "40x30 pixels, got one of 500x375"),
        (_unknown_synset, "expected synsets of LOC_synset_mapping.txt, got 'n99999999'"),
        (_broken_xml, "no element found"),
        (_entities, "entities, refused"),
        (_other_class, f"expected a box of {WNIDS[1]}, the label of the image"),
        (_other_box, "as in LOC_val_solution.csv"),
        (_no_object, f"expected a box of {WNIDS[1]}"),
        (_short_solution, "LOC_val_solution.csv"),
        (_two_classes_in_the_solution, "all of one known class"),
        (_no_numbers_in_the_solution, "LOC_val_solution.csv"),
    ],
)
def test_bad_files_are_set_aside_with_the_reason(tmp_path: Path, spoil: Callable[[Path], None], reason: str) -> None:
    spoil(kaggle(tmp_path))
    index = ilsvrc.index(tmp_path)
    assert rows(index) == [EXPECTED[0], EXPECTED[2]]
    ((file, said),) = index.set_aside
    assert name(2) in file
    assert not file.startswith("/")
    assert reason in said
    assert str(tmp_path) not in said
    assert said.count(": ") >= 1  # ... and what to do about it


def test_a_missing_box_is_set_aside_where_the_others_have_theirs(tmp_path: Path) -> None:
    (devkit(tmp_path) / f"bbox/val/{name(2)}.xml").unlink()
    index = ilsvrc.index(tmp_path)
    assert [entry.image for entry in index.entries] == [name(1), name(3)]
    assert index.set_aside[0][0] == f"bbox/val/{name(2)}.xml"
    assert "no such file" in index.set_aside[0][1]


def test_two_classes_in_xml_need_another_source_for_the_label(tmp_path: Path) -> None:
    (kaggle(tmp_path) / "LOC_val_solution.csv").unlink()
    xml(kaggle_xml(tmp_path, 2), [(WNIDS[1], (1, 2, 22, 25)), (WNIDS[0], (1, 2, 22, 25))])
    assert "boxes of one class" in ilsvrc.index(tmp_path).set_aside[0][1]


@pytest.mark.parametrize("made", [False, True])
def test_a_missing_root_says_what_to_download_and_where_to_put_it(tmp_path: Path, made: bool) -> None:
    root = tmp_path / "ilsvrc"
    if made:
        root.mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        ilsvrc.index(root)
    message = str(caught.value)
    for told in (
        "imagenet-object-localization-challenge",
        "image-net.org",
        "ILSVRC2012_img_val.tar",
        f"{root}/LOC_synset_mapping.txt",
        f"{root}/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG",
        f"{root}/data/meta.mat",
        f"{root}/bbox/val/ILSVRC2012_val_00000001.xml",
        "data.root=",
    ):
        assert told in message


@pytest.mark.parametrize("gone", ["pictures", "labels"])
def test_a_missing_part_is_named(tmp_path: Path, gone: str) -> None:
    kaggle(tmp_path)
    if gone == "pictures":
        (tmp_path / "ILSVRC/Data").rename(tmp_path / "elsewhere")
        expected = "expected validation images in one of"
    else:
        (tmp_path / "ILSVRC/Annotations").rename(tmp_path / "elsewhere")
        (tmp_path / "LOC_val_solution.csv").unlink()
        expected = "expected labels in LOC_val_solution.csv"
    with pytest.raises(FileNotFoundError, match=expected):
        ilsvrc.index(tmp_path)


def test_nothing_usable_is_an_error_that_shows_examples(tmp_path: Path) -> None:
    kaggle(tmp_path)
    for number in (1, 2, 3):
        kaggle_picture(tmp_path, number).write_bytes(b"no image")
    with pytest.raises(
        ValueError, match=rf"got 3 unusable ones, such as\n  ILSVRC/.*{name(1)}\.JPEG: expected a whole"
    ):
        ilsvrc.index(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("LOC_synset_mapping.txt", "n01440764 tench\nn01440764 tench\n", "line 2: .*each class once"),
        ("LOC_synset_mapping.txt", "n01440764\n", "line 1: .*WNID words"),
        ("LOC_synset_mapping.txt", "\n", "got none"),
        ("LOC_val_solution.csv", "a,b\n1,2\n", "ImageId,PredictionString"),
    ],
)
def test_broken_lists_are_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    (kaggle(tmp_path) / file).write_text(content)
    with pytest.raises(ValueError, match=rf"{file}.*{message}"):
        ilsvrc.index(tmp_path)


@pytest.mark.parametrize("line", ["1001", "0", "x"])  # an inner node, no number of the kit, no number
def test_a_ground_truth_that_is_no_class_is_named(tmp_path: Path, line: str) -> None:
    truth = devkit(tmp_path) / "data/ILSVRC2012_validation_ground_truth.txt"
    truth.write_text(f"490\n{line}\n1\n")
    with pytest.raises(ValueError, match=rf"ground_truth\.txt, line 2: .*got '{line}'"):
        ilsvrc.index(tmp_path)


@pytest.mark.parametrize("content", [b"no mat file", b"", None])
def test_a_broken_meta_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = devkit(tmp_path) / "data/meta.mat"
    if content is None:
        from scipy.io import savemat

        savemat(path, {"synsets": np.zeros(3)})
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"meta\.mat: expected a struct `synsets`"):
        ilsvrc.index(tmp_path)


def test_the_kits_blacklist_is_found(tmp_path: Path) -> None:
    devkit(tmp_path)
    assert ilsvrc.blacklist(tmp_path) == frozenset()
    (tmp_path / "data/ILSVRC201x_clsloc_validation_blacklist.txt").write_text("1\n3\n")
    assert ilsvrc.blacklist(tmp_path) == {name(1), name(3)}
    assert len(ilsvrc.index(tmp_path)) == 3  # classification keeps them


def test_a_blacklist_counts_lines_of_the_sorted_list_or_numbers_of_the_whole_set(tmp_path: Path) -> None:
    devkit(tmp_path / "tree", truth=(490, 7, 1, 1))
    file = tmp_path / "list.txt"
    file.write_text("2\n4\n")
    assert ilsvrc.blacklist(tmp_path / "tree", file) == {name(2), name(4)}
    (tmp_path / f"tree/val/{name(1)}.JPEG").unlink()
    assert ilsvrc.blacklist(tmp_path / "tree", file) == {name(2), name(4)}  # four lines, three images: numbers tell


@pytest.mark.parametrize("content", ["0\n", "1\nx\n", "-1\n"])
def test_a_bad_blacklist_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"list\.txt: expected line numbers from 1 on"):
        ilsvrc.blacklist(devkit(tmp_path / "tree"), file)
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        ilsvrc.blacklist(tmp_path / "tree", tmp_path / "gone.txt")


@needs_shared
def test_the_real_sample() -> None:
    index = ilsvrc.index(SAMPLE)
    assert (len(index), len(index.classes), index.set_aside) == (674, 1000, ())
    assert (index.ids[0], index.classes[0]) == ("n01440764", "tench, Tinca tinca")
    first = [(e.image, e.label, e.boxes.to_inclusive().tolist(), e.width, e.height) for e in index.entries[:3]]
    assert first == [  # xmin ymin xmax ymax, as in the files
        ("ILSVRC2012_val_00000361", 300, [[38, 53, 190, 202]], 227, 227),
        ("ILSVRC2012_val_00000363", 133, [[30, 23, 195, 182]], 227, 227),
        ("ILSVRC2012_val_00000560", 705, [[0, 53, 207, 193]], 227, 227),
    ]


@needs_shared
def test_real_labels_agree_with_the_solution_and_with_the_kits_numbers() -> None:
    index = ilsvrc.index(SAMPLE)
    with (SAMPLE / "LOC_val_solution.csv").open() as file:
        solution = {row["ImageId"]: row["PredictionString"].split() for row in csv.DictReader(file)}
    assert {e.image: index.ids[e.label] for e in index.entries} == {image: row[0] for image, row in solution.items()}
    boxes = {e.image: sorted(map(tuple, e.boxes.to_inclusive().tolist())) for e in index.entries}
    told = {
        k: sorted(tuple(map(float, row[i + 1 : i + 5])) for i in range(0, len(row), 5)) for k, row in solution.items()
    }
    assert boxes == told
    evaluated = [int(line) for line in (EVALUATION / "ground_truth_labels.txt").read_text().split()]
    assert [e.label + 1 for e in index.entries] == evaluated


@needs_shared
def test_the_real_blacklist_counts_the_sorted_pictures() -> None:
    lines = [int(line) for line in (EVALUATION / "blacklist.txt").read_text().split()]
    index = ilsvrc.index(SAMPLE)
    expected = {index.entries[line - 1].image for line in lines}
    assert ilsvrc.blacklist(SAMPLE, EVALUATION / "blacklist.txt") == expected
    assert len(expected) == len(lines) == 40
