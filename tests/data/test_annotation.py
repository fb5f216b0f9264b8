"""XML files are not trusted: what is missing, broken, dangerous or about something else is named."""

from pathlib import Path

import pytest
from tests.data.trees import xml

from deepinside.data.annotation import Annotation, BadAnnotation


def test_inclusive_corners_become_half_open_boxes_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = xml(tmp_path / "x.xml", [("dog", (5, 6, 5, 6)), ("cat", (0, 0, 9, 9)), ("dog", (1, 2, 39, 29))])
    annotation = Annotation.read(path).of("x", 40, 30)
    assert annotation.boxes({"dog"}).xyxy.tolist() == [[5, 6, 6, 7], [1, 2, 40, 30]]  # x0 y0 x1 y1
    assert len(annotation.boxes({"bird"})) == 0


@pytest.mark.parametrize("image", ["x", "x.jpg"])
def test_the_suffix_in_the_name_may_be_left_out(tmp_path: Path, image: str) -> None:
    Annotation.read(xml(tmp_path / "x.xml", [], image=image)).of("x", 40, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "y"}, r"expected an annotation of x, got one of 'y'"),
        ({"size": (30, 40)}, r"an image of 40x30 pixels, got one of 30x40"),
    ],
)
def test_another_picture_is_named(tmp_path: Path, options: dict[str, object], message: str) -> None:
    path = xml(tmp_path / "x.xml", [("dog", (1, 1, 2, 2))], **options)
    with pytest.raises(BadAnnotation, match=rf"x\.xml: .*{message}"):
        Annotation.read(path).of("x", 40, 30)


BOMB = '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BOMB, OUTSIDE])
def test_entities_are_refused(tmp_path: Path, head: str) -> None:
    path = xml(tmp_path / "x.xml", [("&c;" if head is BOMB else "&b;", (1, 1, 2, 2))], head=head)
    with pytest.raises(BadAnnotation, match=r"x\.xml: .*XML entities, refused"):
        Annotation.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><filename>x</filename>", "no element found"),
        ("", "no element found"),
        ("\x00", "unclosed token"),
        ("<annotation>&</annotation>", "not well-formed"),
        ('<?xml version="1.0" encoding="martian"?><annotation/>', "martian|unknown encoding"),
        ("<annotation><size><width>4</width><height>3</height></size></annotation>", "no filename"),
        ("<annotation><filename>x</filename></annotation>", "no size/width"),
        ("<annotation><object><name>n</name></object></annotation>", "no bndbox/xmin in <object>"),
        ("<annotation><object><name> </name></object></annotation>", "no name"),
        ("<annotation><filename>x</filename><size><width>a</width><height>3</height></size></annotation>", "'a'"),
    ],
)
def test_what_is_broken_or_incomplete_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.xml"
    path.write_text(content)
    with pytest.raises(BadAnnotation, match=rf"x\.xml: expected an annotation in VOC form .*({message})"):
        Annotation.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match=r"x\.xml: .*no such file"):
        Annotation.read(tmp_path / "x.xml")


@pytest.mark.parametrize("corners", [(5, 5, 3, 9), (1, float("nan"), 2, 2), (1, 1, float("inf"), 2)])
def test_boxes_without_area_are_named(tmp_path: Path, corners: tuple[float, ...]) -> None:
    annotation = Annotation.read(xml(tmp_path / "x.xml", [("dog", corners)]))
    with pytest.raises(BadAnnotation, match=r"x\.xml: expected boxes with xmin <= xmax"):
        annotation.boxes({"dog"})
