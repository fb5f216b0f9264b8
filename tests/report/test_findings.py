"""The sentences: made from the numbers, with the null, and only where these exist."""

import pytest
from tests.report.artifacts import CLAIMS, artifact, claims, settings, world

from deepinside.records import Row
from deepinside.report.compose import compose
from deepinside.report.opening import FAILED, FOUND, OURS, papers
from deepinside.report.page import render

GAIN = "class_known_localisation_gain_over_whole_image"
ERROR = "class_known_localisation_error"


def answers(folders, **changes):
    return dict(compose(folders, settings(**changes), "tried")[0].opening.answers)


def test_an_error_is_beside_that_of_guessing(tmp_path):
    made = answers(world(tmp_path))
    assert made[FOUND][0] == (
        "The trained network names 12.5\u00a0% [10.0 to 15.0] of the test images wrongly; guessing one of 4 classes is "
        "wrong in 75.0\u00a0%."
    )


@pytest.mark.parametrize(("low", "high", "found"), [(-4.0, 8.0, "not shown to be better"), (-9.0, -1.0, "worse than")])
def test_what_is_not_better_than_its_null_is_a_failure(tmp_path, low, high, found):
    rows = [Row(ERROR, 50.0, "%", 40, 40.0, 60.0), Row(f"whole_image.{ERROR}", 52.0, "%", 40, 42.0, 62.0)]
    made = answers({"localise": artifact(tmp_path, "localise", "a0", rows=[*rows, Row(GAIN, 2.0, "%", 40, low, high)])})
    (said,) = [one for one in made[FAILED] if "box" in one]
    assert found in said
    assert "wrong (IoU below 0.5) in 50.0\u00a0% [40.0 to 60.0]" in made[FOUND][0]


def test_the_most_selective_layer_is_named_and_the_ones_like_chance_failed(tmp_path):
    above = "unique_detectors_above_null"
    rows = [Row("conv1." + above, 1, "concepts", 8, -2, 4), Row("conv5." + above, 9, "concepts", 64, 7, 11)]
    made = answers({"dissect": artifact(tmp_path, "dissect", "d0", rows=rows)})
    assert made[FOUND][0].startswith(
        "Units of conv5, the most selective of 2 layers, detect 9 [7 to 11] more different concepts"
    )
    assert "conv1 (1 [−2 to 4])" in made[FAILED][0]


def test_without_numbers_nothing_is_said(tmp_path):
    rows = [Row(ERROR, float("nan"), "%", 0)]
    made = answers({"localise": artifact(tmp_path, "localise", "a0", rows=rows)})
    assert FOUND not in made
    assert FOUND not in answers({})


def test_a_sentence_stands_at_its_section(tmp_path):
    page = compose(world(tmp_path), settings(), "tried")[0]
    found = {section.title: section.found for section in page.sections}
    assert found["The network"][0].startswith("The trained network names")
    assert found["The data"] == []


def test_verdicts_are_counted_by_the_first_paper_that_a_source_names():
    rows = [
        {"source": "Adebayo et al. 2018; Nie et al. 2018", "verdict": "supported"},
        {"source": "Adebayo et al. 2018, fig. 2", "verdict": "contradicted"},
        {"source": "ours", "verdict": "supported"},
    ]
    references = {"Nie et al. 2018": "n", "Adebayo et al. 2018": "a"}
    made = papers(rows, references)
    assert [(one.name, one.href, one.decided) for one in made] == [("Adebayo et al. 2018", "a", 2), (OURS, "", 1)]
    assert {words: count for words, _, count in made[0].verdicts if count} == {"supported": 1, "contradicted": 1}


def test_drawn_images_do_not_have_the_names_of_photographs(tmp_path):
    name = "ILSVRC2012_val_00000012"
    folder = artifact(
        tmp_path,
        "localise",
        "a0",
        pictures=[("best boxes", "mug", f"{name}: a case.")],
        about=[f"image/{name}"],
        config={"data": {"name": "miniature"}},
        sheets={"per_image.csv": [("image", "label", "iou_known"), (name, 1, 0.5)]},
    )
    page = compose({"localise": folder}, settings(), "tried")[0]
    assert [(one.anchor, one.title) for one in page.entries] == [("image/drawn-image-12", "drawn image 12")]
    html = render(page)
    assert "drawn image 12: a case." in html
    assert name not in html
    again = artifact(tmp_path / "b", "localise", "a0", config={"data": {"name": "ilsvrc"}}, sheets={
        "per_image.csv": [("image", "label", "iou_known"), (name, 1, 0.5)]
    })  # fmt: skip
    assert [one.title for one in compose({"localise": again}, settings(), "tried")[0].entries] == [name]


def test_the_software_is_cited_as_the_manifests_say_and_papers_are_links(tmp_path):
    folders = world(tmp_path) | {"claims": claims(tmp_path)}
    changed = {"S13": "https://arxiv.org/abs/1312.6034"}
    html = render(compose(folders, settings(references=changed), "tried")[0])
    assert "@software{deepinside," in html
    assert html.count('<a href="https://arxiv.org/abs/1312.6034">S13</a>') >= len(CLAIMS) - 2


def test_class_models_of_networks_trained_on_imagenet_come_first(tmp_path):
    keys = ("visualise", "visualise.imagenette.squeezenet", "visualise.imagenette.efficientnet_lite0")
    rows = [Row("class_model.judge_top1", 0.5, "share", 10, 0.2, 0.8)]
    page = compose({key: artifact(tmp_path, key, key, rows=rows) for key in keys}, settings(), "tried")[0]
    (section,) = [one for one in page.sections if one.title == "Class models"]
    assert [part.artifact.key for part in section.parts] == [keys[1], keys[2], keys[0]]


def test_a_sentence_names_its_network_where_there_are_several(tmp_path):
    rows = [Row("top1_error_centre_crop", 10.0, "%", 40, 5.0, 15.0)]
    folders = {
        f"train.{name}": artifact(tmp_path, "train", name, rows=rows, config={"model": {"name": name}})
        for name in ("small", "squeezenet")
    }
    assert answers(folders, words={"squeezenet": "SqueezeNet"})[FOUND] == [
        "The trained network names 10.0\u00a0% [5.0 to 15.0] of the test images wrongly (small)."
    ]
    alone = answers({"train.small": folders["train.small"]})
    assert alone[FOUND][0].endswith("wrongly.")


def test_a_section_opens_with_few_sentences(tmp_path):
    rows = [Row("top1_error_centre_crop", 10.0, "%", 40, 5.0, 15.0)]
    names = [f"net{number}" for number in range(5)]
    folders = {
        f"train.{name}": artifact(tmp_path, "train", name, rows=rows, config={"model": {"name": name}})
        for name in names
    }
    (section,) = [one for one in compose(folders, settings(), "tried")[0].sections if one.title == "The network"]
    assert [one.endswith(f"({name}).") for one, name in zip(section.found, names, strict=False)] == [True] * 3
