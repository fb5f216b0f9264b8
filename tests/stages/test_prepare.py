"""From the files of a data set to the list that all other stages read."""

from pathlib import Path

import pytest
from tests.data.test_imagenette import lay
from tests.data.trees import name

from deepinside.data.opening import open_index
from deepinside.pipeline import configuration
from deepinside.records import Table
from deepinside.stages import prepare


def test_boxes_that_come_apart_reach_the_index(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(f"image,x0,y0,x1,y1\n{name(101)}.JPEG,1,2,30,40\n")
    root, out = lay(tmp_path / "data"), tmp_path / "out"
    out.mkdir()
    cfg = configuration.composed(["data=imagenette", f"data.root={root}", f"data.boxes={tmp_path / 'b.csv'}"])
    prepare.run(cfg, {}, out)
    assert Table.read(out)["images_with_boxes"].value == 1
    (boxed,) = open_index(cfg, out).boxed().entries
    assert (boxed.image, boxed.boxes.xyxy.tolist()) == (name(101), [[1, 2, 30, 40]])
    assert open_index(cfg, out).picture(boxed).shape == (3, 160, 200)


def test_a_misspelt_function_is_named_before_any_work() -> None:
    cfg = configuration.composed(["data=folder", "data.index._target_=deepinside.data.folder.indx"])
    with pytest.raises(KeyError, match=r"deepinside\.data\.folder has no 'indx'; did you mean 'index'"):
        prepare.check(cfg)


def test_a_function_that_lists_nothing_is_named(tmp_path: Path) -> None:
    cfg = configuration.composed(["data=folder", f"data.root={tmp_path}", "data.index._target_=builtins.dict"])
    with pytest.raises(ValueError, match=r"builtins\.dict must return a deepinside\.data\.index\.Index, not dict"):
        prepare.run(cfg, {}, tmp_path)
