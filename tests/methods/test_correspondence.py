"""Hamming distances and squares by hand, which images are chosen, and laws that identical images obey."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.methods.correspondence import (
    Case,
    Square,
    _random,
    _steps,
    correspondence,
    find_cases,
    pair_interval,
    parts_of,
    sign_distances,
    square_over,
)
from deepinside.network import Network, Preprocessing
from deepinside.plots.correspondence import bars
from deepinside.records import Boxes
from deepinside.study import Pictures, Segments, Study

SIZE = (20, 26)


def mask(rows: tuple[int, int], columns: tuple[int, int]) -> torch.Tensor:
    found = torch.zeros(SIZE, dtype=torch.bool)
    found[rows[0] : rows[1], columns[0] : columns[1]] = True
    return found


def segments(masks: list[dict[str, torch.Tensor]], images: torch.Tensor | None = None, broken: int = -1) -> Segments:
    count = len(masks)
    seen = torch.rand(count, 3, *SIZE) if images is None else images
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    names = tuple(f"p{i}" for i in range(count))
    pictures = Pictures(names, (-1,) * count, empty, lambda i: None if i == broken else seen[i])
    return Segments(pictures, lambda i: masks[i])


def face(y: int = 2, x: int = 3) -> dict[str, torch.Tensor]:
    # 12 x 14, with an eye 3 x 2 and a nose 2 x 3
    return {
        "cat": mask((y, y + 12), (x, x + 14)),
        "eye": mask((y + 2, y + 5), (x + 2, x + 4)),
        "nose": mask((y + 7, y + 9), (x + 6, x + 9)),
        "pink-c": mask((y + 7, y + 9), (x + 6, x + 9)),
    }


def itself() -> Network:
    """The layer `0` answers the image minus 0.5."""
    conv = nn.Conv2d(3, 3, 1, bias=False)
    conv.weight = nn.Parameter(torch.eye(3).view(3, 3, 1, 1))
    module = nn.Sequential(conv, nn.Flatten(), nn.Linear(3 * SIZE[0] * SIZE[1], 2))
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 20, 20), "ab", "itself")


def deep() -> Network:
    module = nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 10 * 13, 30), nn.ReLU(), nn.Linear(30, 2),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    for weights in module.parameters():
        weights.data = torch.randn(weights.shape, generator=generator) / weights[0].numel() ** 0.5
    return Network(module, Preprocessing((0.4, 0.5, 0.6), (0.3, 0.3, 0.3), 20, 20), "ab", "deep")


def test_hamming_distances_by_hand() -> None:
    signs = torch.tensor([[1, -1, 0, 0, 1], [1, 1, 0, -1, 1], [0, 0, 0, 0, 0]], dtype=torch.int8)
    match, left_out = sign_distances(signs)
    # first and second: differ in dimensions 1 and 3 of 5, of which dimension 2 is zero in both
    assert match.tolist() == [[0, 2 / 5, 3 / 5], [2 / 5, 0, 4 / 5], [3 / 5, 4 / 5, 0]]
    assert left_out[:2].tolist() == [[0, 2 / 4, 1], [2 / 4, 0, 1]]
    assert left_out[2, 2].isnan()


def test_hamming_distances_equal_a_loop() -> None:
    signs = torch.randint(-1, 2, (6, 301), generator=torch.Generator().manual_seed(1)).to(torch.int8)
    match, left_out = sign_distances(signs)
    for i in range(6):
        for j in range(6):
            pairs = list(zip(signs[i].tolist(), signs[j].tolist(), strict=True))
            differ = sum(a != b for a, b in pairs)
            assert float(match[i, j]) == pytest.approx(differ / 301)
            assert float(left_out[i, j]) == pytest.approx(differ / sum((a, b) != (0, 0) for a, b in pairs))


def test_interval_over_pictures_equals_a_loop() -> None:
    values = np.random.default_rng(3).random((5, 5))
    values = values + values.T
    values[0, 1] = values[1, 0] = np.nan
    draws = np.random.default_rng(7).multinomial(5, [0.2] * 5, size=300)
    means = []
    for counts in draws:
        drawn = np.repeat(np.arange(5), counts)
        known = [values[a, b] for a in drawn for b in drawn if a != b and np.isfinite(values[a, b])]
        if known:
            means.append(np.mean(known))
    expected = np.quantile(means, [0.05, 0.95])
    assert pair_interval(values, level=0.9, resamples=300, seed=7) == pytest.approx(tuple(expected))
    assert pair_interval(np.full((4, 4), 0.3)) == pytest.approx((0.3, 0.3))
    assert np.isnan(pair_interval(np.full((1, 1), 0.3))).all()


def test_square_over_a_part_by_hand() -> None:
    # rows 4..5, columns 7..12: side 6, rows 4 + 2/2 - 3 = 2 .. 7
    assert square_over(mask((4, 6), (7, 13))) == Square(2, 7, 6)
    assert square_over(mask((0, 2), (7, 13))) == Square(0, 7, 6)  # moved into the image
    assert square_over(mask((18, 20), (22, 26))) == Square(16, 22, 4)
    assert square_over(mask((0, 20), (0, 26))) == Square(0, 3, 20)  # no larger than the image


def test_of_two_eyes_the_left_one_and_no_fleck() -> None:
    eyes = mask((4, 7), (12, 15)) | mask((5, 8), (5, 8)) | mask((10, 11), (1, 2))
    assert square_over(eyes) == Square(5, 5, 3)
    corner_to_corner = mask((4, 6), (4, 6)) | mask((6, 8), (6, 8))  # one piece
    assert square_over(corner_to_corner) == Square(4, 4, 4)


def test_parts_lie_within_objects_and_are_no_colours() -> None:
    masks = face() | {
        "kite": mask((13, 15), (4, 10)),
        "pupil": mask((5, 6), (5, 6)),
        "sky": mask((15, 20), (0, 26)),
        "gone": mask((0, 0), (0, 0)),
    }
    found = parts_of(masks)
    assert found.keys() == {"cat"}
    assert found["cat"].keys() == {"eye", "nose", "pupil"}  # the pupil's object is the cat, not its eye
    assert found["cat"]["eye"].square == Square(4, 4, 3)
    assert found["cat"]["eye"].avoidable
    whole = parts_of({"cat": mask((2, 14), (3, 17)), "head": mask((2, 14), (3, 16))})
    assert not whole["cat"]["head"].avoidable  # no second square of 13 fits beside it on the cat
    assert parts_of({"pink-c": mask((2, 3), (3, 4))}) == {}


def test_object_and_parts_that_are_not_named() -> None:
    dog = {"dog": mask((0, 10), (0, 10)), "ear": mask((1, 3), (1, 3))}
    blind = {name: where for name, where in face().items() if name != "eye"}
    masks = [dog, face(), dog, blind, face(1, 8), dog, face(4, 9), dog]
    masks = [each | {"head": each["cat"] & ~each["nose"]} if "cat" in each else each for each in masks]  # fills it
    # three images have a cat's eye and nose, four a dog's ear: two parts win over one
    wanted, parts, cases = find_cases(segments(masks), None, None, 3)
    assert (wanted, parts, [case.name for case in cases]) == ("cat", ("nose", "eye"), ["p1", "p4", "p6"])
    assert cases[1].squares == {"eye": Square(3, 9, 3), "nose": Square(7, 14, 3)}
    assert torch.equal(cases[2].object, masks[6]["cat"])
    # four images only share the nose
    wanted, parts, cases = find_cases(segments(masks), "cat", None, 4)
    assert (parts, [case.name for case in cases]) == (("nose",), ["p1", "p3", "p4", "p6"])
    # of two parts each, the object in more images
    assert find_cases(segments(masks), None, ["ear"], 2)[0] == "dog"
    assert [case.name for case in find_cases(segments(masks), "dog", ["ear"], 2)[2]] == ["p0", "p2"]


def test_broken_pictures_are_passed_over() -> None:
    masks = [face(), face(), face(), face()]
    assert [case.name for case in find_cases(segments(masks, broken=1), None, None, 2)[2]] == ["p0", "p2"]


def test_errors_say_what_there_is() -> None:
    masks = [face(), face(1, 8)]
    with pytest.raises(KeyError, match="did you mean 'cat'"):
        find_cases(segments(masks), "cart", None, 2)
    with pytest.raises(KeyError, match="did you mean 'nose'"):
        find_cases(segments(masks), "cat", ["noses"], 2)
    with pytest.raises(ValueError, match=r"none of 2.*concepts=miniature"):
        find_cases(segments([{"sky": mask((0, 3), (0, 9))}] * 2), None, None, 2)
    with pytest.raises(ValueError, match=r"two images of cat with eye or more, got 1.*cat: eye 1, nose 1"):
        find_cases(segments([face(), {"sky": mask((0, 3), (0, 9))}]), "cat", ["eye"], 2)


def test_random_places_lie_on_the_object_and_off_the_part() -> None:
    masks = face()
    case = Case("p", torch.rand(3, *SIZE), masks["cat"], {"nose": square_over(masks["nose"])})
    own = case.squares["nose"]
    drawn = _random(case, "nose", 200, seed=0)
    assert len(set(drawn)) > 40
    for square in drawn:
        assert square.side == own.side
        assert masks["cat"][square.y + own.side // 2, square.x + own.side // 2]
        assert max(abs(square.y - own.y), abs(square.x - own.x)) >= own.side
        assert 0 <= square.y <= SIZE[0] - own.side
        assert 0 <= square.x <= SIZE[1] - own.side
    assert drawn == _random(case, "nose", 200, seed=0)
    assert drawn != _random(case, "nose", 200, seed=1)
    assert drawn != _random(case._replace(name="q"), "nose", 200, seed=0)
    # where the part fills the object, the place may be on it
    full = Case("p", case.image, mask((0, 4), (0, 4)), {"nose": Square(0, 0, 4)})
    assert all(full.object[s.y + 2, s.x + 2] for s in _random(full, "nose", 20, seed=0))


def test_steps_are_off_the_part_and_inside_in_every_picture() -> None:
    cases = [
        Case(f"p{i}", torch.rand(3, *SIZE), face(*at)["cat"], {"eye": square_over(face(*at)["eye"])})
        for i, at in enumerate([(2, 3), (0, 9), (7, 12)])
    ]
    steps = _steps(cases, "eye", 100, seed=0)
    assert len(set(steps)) > 20
    for dy, dx in steps:
        on = 0
        for case in cases:
            y, x, side = case.squares["eye"]
            assert max(abs(dy), abs(dx)) >= side
            assert 0 <= y + dy <= SIZE[0] - side
            assert 0 <= x + dx <= SIZE[1] - side
            on += int(case.object[y + dy + side // 2, x + dx + side // 2])
        assert on > 0
    wide = [case._replace(squares={"eye": Square(0, 0, 20)}) for case in cases]
    assert _steps(wide, "eye", 5, seed=0) == []


def test_delta_by_hand() -> None:
    # the first two noses are brighter than the mean colour, the third is darker; all in one place
    masks = [face()] * 3
    images = torch.full((3, 3, *SIZE), 0.5)
    y, x, side = square_over(masks[0]["nose"])
    for image, value in zip(images, (0.9, 0.7, 0.2), strict=True):
        image[:, y : y + side, x : x + side] = value
    study = correspondence(itself(), segments(masks, images), parts=["nose"], layers=["0"], images=3, repeats=4)
    own = study.table.query("part == 'nose' and place == 'part'").set_index("zeros")
    share = side * side / (SIZE[0] * SIZE[1])
    assert own["delta"].to_dict() == pytest.approx({"match": 2 / 3 * share, "left_out": 2 / 3})  # pairs: 0, 1, 1
    assert own.loc["left_out", "delta_error"] == pytest.approx(np.std([0, 1, 1], ddof=1) / 3**0.5)
    # elsewhere the images have the mean colour already: nothing changes, and no dimension is left
    other = study.table.query("part == 'nose' and place == 'random'").set_index("zeros")
    assert other.loc["match", "delta"] == 0
    assert np.isnan(other.loc["left_out", "delta"])
    found = {row.metric: row for row in study.numbers}
    gap = found["0.nose.zeros_match.random_above_part"]
    assert (gap.value, gap.n) == (pytest.approx(-2 / 3 * share), 3)
    assert gap.ci_low <= gap.value <= gap.ci_high


def test_the_same_picture_corresponds_to_itself() -> None:
    image = torch.rand(3, *SIZE)
    study = correspondence(
        deep(), segments([face()] * 4, image.expand(4, -1, -1, -1)), images=4, repeats=3, batch_size=3
    )
    assert study.shown["layers"].tolist() == ["3", "7"]  # the last convolution and the last hidden layer, rectified
    deltas = study.table.set_index(["layer", "part", "zeros", "place"])["delta"]
    for layer in ("3", "7"):
        for part in ("eye", "nose"):
            for zeros in ("match", "left_out"):
                assert deltas[layer, part, zeros, "part"] == 0
                assert deltas[layer, part, zeros, "beside"] == 0  # the same step, hence the same place
                assert deltas[layer, part, zeros, "random"] > 0


def test_what_a_mask_cannot_reach_is_no_change() -> None:
    # two 3x3 convolutions see 5x5: masks further apart than that change other dimensions, whatever rounding does
    images = torch.rand(2, 3, *SIZE)
    left, right = {"cat": mask((0, 20), (0, 26)), "eye": mask((1, 4), (1, 4))}, {"cat": mask((0, 20), (0, 26))}
    right["eye"] = mask((14, 17), (18, 21))
    study = correspondence(deep(), segments([left, right], images), layers=["2"], images=2, repeats=2)
    own = study.table.query("part == 'eye' and place == 'part'").set_index("zeros")["delta"]
    assert own["left_out"] == 1
    # rows 0..5, columns 0..5 of the one (cut at the border), rows 12..18, columns 16..22 of the other
    assert own["match"] == pytest.approx((6 * 6 + 7 * 7) / (SIZE[0] * SIZE[1]), rel=0.01)


def test_changes_as_small_as_rounding_are_none() -> None:
    images = torch.full((2, 3, *SIZE), 1.0)  # the layer's largest activation is 0.5: least change 5e-6
    y, x, side = square_over(face()["nose"])
    for image, excess in zip(images, (1e-4, 2e-6), strict=True):
        image[:, y : y + side, x : x + side] = 0.5 + excess
    study = correspondence(itself(), segments([face()] * 2, images), parts=["nose"], layers=["0"], images=2, repeats=1)
    own = study.table.query("part == 'nose' and place == 'part'").set_index("zeros")["delta"]
    assert own["left_out"] == 1  # changed in the first, unchanged in the second


def test_batches_do_not_matter_but_the_seed_does() -> None:
    material = segments([face(), face(1, 8), face(4, 9), face(5, 2)])
    tables = [
        correspondence(deep(), material, images=4, repeats=2, seed=seed, batch_size=batch).table["delta"].to_numpy()
        for seed, batch in ((0, 1), (0, 4), (1, 4))
    ]
    assert np.allclose(tables[0], tables[1], atol=1e-3, equal_nan=True)
    assert not np.allclose(tables[1], tables[2], atol=1e-3, equal_nan=True)


def test_drawn_beside_other_places(tmp_path: object) -> None:
    study = correspondence(deep(), segments([face(), face(1, 8), face(4, 9)]), images=3, repeats=2)
    study.write(tmp_path, "correspondence")
    drawn, masked = bars(Study.read(tmp_path, "correspondence"))
    assert len(drawn.picture.axes) == 4  # two layers, two ways to count zeros
    for axis in drawn.picture.axes:  # two parts, three places
        assert len(axis.patches) == 6
        assert all(bar.get_height() > 0 for bar in axis.patches)
    bottoms, tops = zip(*(axis.get_ylim() for axis in drawn.picture.axes), strict=True)
    assert set(bottoms) == {0}
    assert all(one == other for one, other in list(pairwise(tops))[::2])  # a row shares its scale
    assert len(masked.picture.axes) == 3 * (1 + 2 + 2)
    for figure in (drawn, masked):
        figure.picture.savefig(tmp_path / f"{figure.name or 'bars'}.png")
