"""What a run says of its cost before it begins."""

import re

import pytest
from tests.own import OWN, lay, program

from deepinside.pipeline.estimate import Cost, lines


@pytest.mark.slow
def test_maps_are_estimated_and_what_does_not_grow_with_pictures_is_named(tmp_path):
    place = lay(tmp_path)
    words = ("run=visualise", *OWN, "visualise.measured=40", "estimate=true")
    done = program(*words, "method=[saliency,first_layer]", cwd=place)
    assert done.returncode == 0, done.stderr
    assert re.search(r"visualise +[\d,]+ images +\d+ min \d\d s", done.stdout)
    assert "without first_layer" in done.stdout
    done = program(*words, "method=[first_layer]", cwd=place)
    assert "visualise  not estimated" in done.stdout


@pytest.mark.slow
def test_a_run_is_tried_on_a_few_pictures_and_leaves_nothing_but_what_everything_rests_on(tmp_path):
    place = lay(tmp_path)
    done = program("run=localise", *OWN, "estimate=true", cwd=place)
    assert done.returncode == 0, done.stderr
    assert re.search(r"localise +[\d,]+ images +\d+ min \d\d s +\d+\.\d GiB memory +[\d.,]+ MB disk", done.stdout)
    made = {path.parent.parent.name for path in (place / "outputs").rglob("manifest.json")}
    assert made == {"prepare", "load"}
    again = program("run=localise", *OWN, cwd=place)
    assert again.returncode == 0, again.stderr
    assert program("run=localise", *OWN, "estimate=true", cwd=place).stdout.strip().startswith("nothing to do")


def test_costs_in_words():
    costs = [
        Cost("train", 6000, 4000.0, 2**31, 5e6),
        Cost("visualise", 0, None),
        Cost("localise", 60, 100.0, 2**30, 1e6),
    ]
    train, visualise, localise, together = lines(costs)
    assert " ".join(train.split()) == "train 6,000 images 1 h 06 min 2.0 GiB memory 5.0 MB disk"
    assert "not estimated" in visualise
    assert "1 min 40 s" in localise
    assert "1 h 08 min" in together
    counted, left = lines([Cost("visualise", 60, 100.0, without=("class_model", "relation"))])
    assert "60 images" in counted
    assert left.strip() == "without class_model, relation: their cost does not grow with images"
