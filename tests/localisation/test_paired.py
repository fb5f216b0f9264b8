"""Two tables of three images, the last of them blacklisted."""

import pytest

from deepinside.localisation.tables import paired

HEAD = "image,iou_known,cls_error_1,loc_error_1,cls_error_5,loc_error_5,known_error,label\n"


def folder(root, name, *lines):
    (root / name).mkdir()
    (root / name / "per_image.csv").write_text(HEAD + "".join(f"{line}\n" for line in lines))
    return root / name


def test_gains_by_hand(tmp_path):
    first = folder(tmp_path, "1", "a,0.75,0,0,0,0,0,5", "b,0.5,0,0,0,0,0,5", "c,0.25,1,,0,,,5")
    second = folder(tmp_path, "2", "a,0.25,0,1,0,1,1,5", "b,0.5,0,0,0,0,0,5", "c,0.25,1,,0,,,5")
    table = paired(first, second)
    assert table["top5_localisation_error_gain"][1:4] == (50, "percentage points", 2)
    assert table["class_known_localisation_error_gain"].value == 50
    assert table["top1_classification_error_gain"][1:4] == (0, "percentage points", 3)
    assert table["class_known_iou_gain"].value == pytest.approx(0.5 / 3)
    assert paired(second, first)["top5_localisation_error_gain"].value == -50


def test_other_images_are_refused(tmp_path):
    first = folder(tmp_path, "1", "a,1,0,0,0,0,0,5", "b,1,0,0,0,0,0,5")
    second = folder(tmp_path, "2", "a,1,0,0,0,0,0,5")
    with pytest.raises(ValueError, match=r"expected the same images, got 2 in .* and 1 in .*, 1 in both"):
        paired(first, second)
    with pytest.raises(FileNotFoundError, match="expected the table of run=localise"):
        paired(first, tmp_path)
