import pandas as pd
import pytest
from tests.shared import SHARED, needs_shared

from deepinside.dissection.netdissect import read_result
from deepinside.dissection.score import detector_counts

TABLES = SHARED / "data" / "netdissect_tables"


@needs_shared
@pytest.mark.parametrize(
    ("name", "detectors", "unique", "top"),
    [
        ("imagenet", 97, [61, 21, 8, 4, 1, 23, 4], [50, 17, 8, 1, 1, 21, 2]),
        ("places205", 107, [79, 36, 8, 12, 1, 20, 2], [60, 30, 6, 3, 1, 19, 1]),
        ("places365", 118, [91, 40, 9, 13, 2, 25, 2], [72, 32, 6, 6, 2, 25, 1]),
    ],
)
def test_the_published_tables_give_the_published_counts(name, detectors, unique, top):
    units = read_result(TABLES / f"caffe_reference_{name}.csv", "conv5")
    assert units["unit"].tolist() == list(range(256))
    counts = detector_counts(units, 0.04, ("object", "part", "scene", "material", "texture", "color"))
    by_rule = dict(iter(counts.groupby("rule")))
    assert by_rule["per_category"]["unique_detectors"].tolist() == unique
    assert by_rule["top_label"]["unique_detectors"].tolist() == top
    assert [rows["detector_units"].iloc[0] for rows in by_rule.values()] == [detectors, detectors]


@needs_shared
def test_unit_numbers_move_to_zero():
    units = read_result(TABLES / "caffe_reference_imagenet.csv", "conv5").set_index("unit")
    assert units.loc[197, "label"] == "wheel"
    assert units.loc[197, "score"] == pytest.approx(0.2190, abs=5e-5)


GOOD = """unit,category,label,score,object-label,object-truth,object-activation,object-intersect,object-iou
2,object,null,0.5,null,10,5.0,5,0.5
1,object,,0.0,,0,0.0,0,0
"""


def written(folder, text):
    (folder / "a.csv").write_text(text)
    return folder / "a.csv"


def test_a_small_table(tmp_path):
    units = read_result(written(tmp_path, GOOD), "conv5")
    assert units["unit"].tolist() == [0, 1]
    assert units["label"].tolist()[1] == "null"
    assert pd.isna(units["label"][0])
    assert set(units["layer"]) == {"conv5"}


def test_refuses(tmp_path):
    with pytest.raises(ValueError, match=r"expected object-iou 0\.5 for unit 2"):
        read_result(written(tmp_path, GOOD.replace("5,0.5\n", "5,0.45\n")), "conv5")
    with pytest.raises(ValueError, match="object-truth"):
        read_result(written(tmp_path, GOOD.replace("object-truth", "truth")), "conv5")
    with pytest.raises(ValueError, match="each unit once"):
        read_result(written(tmp_path, GOOD.replace("\n1,", "\n2,")), "conv5")
    with pytest.raises(FileNotFoundError, match="no result table"):
        read_result(tmp_path / "b.csv", "conv5")
