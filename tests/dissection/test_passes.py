"""Both passes against a slow re-derivation in float64 that shares no code with them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deepinside.dissection.counting import Counter, counting, totals
from deepinside.dissection.labels import Labels, Vocabulary
from deepinside.dissection.layers import survey_layers
from deepinside.dissection.probe_set import Bad, Group, Picture, grouped, mixed
from deepinside.dissection.score import iou
from deepinside.dissection.thresholds import Survey, survey, surveying
from deepinside.network import Network, Preprocessing
from deepinside.runtime import engine

VOCABULARY = Vocabulary(
    ("color", "object", "scene"),
    ("", "red-c", "blue-c", "cat", "dog", "tree", "street-s"),
    np.array([-1, 0, 0, 1, 1, 1, 2]),
)
SIZES = [((16, 20), (8, 10)), ((24, 16), (12, 8)), ((14, 15), (9, 10))]  # the last is no whole reduction


def network(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, stride=2), nn.ReLU(), nn.Flatten()
        )
    return Network(
        module, Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2), input=16, resize=16), ("a",), "small"
    )


def world(seed, count):
    """Random images and segmentations in every form: whole-picture numbers, one map, several, overlapping, empty."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        image, shape = SIZES[random.integers(len(SIZES))]
        pixels = torch.from_numpy(random.integers(0, 256, (3, *image), dtype=np.uint8))
        columns = {}
        for category in VOCABULARY.categories:
            parts = []
            for _ in range(random.integers(0, 3)):
                whole = random.random() < 0.3
                parts.append(int(random.integers(1, 7)) if whole else random.integers(0, 7, shape).astype(np.int32))
            if parts:
                columns[category] = tuple(parts)
        found.append((number, pixels, columns, shape))
    return found


def reader(pictures, bad=()):
    def read(number):
        if number in bad:
            return Bad(number, f"{number}.jpg", "broken")
        _, pixels, columns, shape = pictures[number]
        return Picture(number, pixels, Labels.of(columns, shape, VOCABULARY), shape)

    return read


def opener(pictures, bad=()):
    def image(number):
        if number in bad:
            raise ValueError(f"{number}.jpg: expected a whole image, got part of one")
        return pictures[number][1]

    return image


def run(
    found,
    pictures,
    folder,
    *,
    quantile=0.05,
    upsample="receptive_field",
    rule="image",
    bad=(),
    batch_size=4,
    workers=2,
    cache=None,
    image=None,
    works=(None, None),
):
    sizes = [tuple(pixels.shape[1:]) for _, pixels, _, _ in pictures]
    layers = survey_layers(found, ["1", "3"], sizes)
    read, common = reader(pictures, bad), {"batch_size": batch_size, "workers": workers}
    options = {"quantile": quantile, "top_images": 3, "cache": cache}
    seen = survey(found, layers, read, sizes, folder=folder / "first", worker=works[0], **options, **common)
    counter = Counter(found, layers, {x.name: seen.thresholds(x.name) for x in layers}, VOCABULARY, upsample, rule)
    image = image or opener(pictures, bad)
    common |= {"cache": cache, "images": len(pictures), "folder": folder / "second"}
    return seen, counter, totals(counter, seen, image, worker=works[1], **common)[0]


def slow_axis(layer, axis, count, target, side, mode):
    """Positions of the map's values on the target, by the rules as they are written."""
    if mode == "resize":
        return [(j + 0.5) * target / count - 0.5 for j in range(count)]
    size, stride, offset = layer.field.size[axis], layer.field.stride[axis], layer.field.offset[axis]
    r = round(side / target)
    if stride % r == 0 and side // r == target:
        return [(offset + size // 2) // r + j * (stride // r) for j in range(count)]
    return [(offset + size // 2 + j * stride + 0.5) * target / side - 0.5 for j in range(count)]


def slow_mask(map_, layer, shape, image, mode, threshold):
    ys, xs = (slow_axis(layer, a, map_.shape[a], shape[a], image[a], mode) for a in (0, 1))
    wide = np.stack([np.interp(range(shape[1]), xs, row) for row in map_.astype(np.float64)])
    return np.stack([np.interp(range(shape[0]), ys, column) for column in wide.T], axis=1) > threshold


def slowly(found, counter, pictures, quantile, mode, rule):
    """Thresholds, I, A, T per layer, one image and one unit after the other."""
    answers, truth = {}, np.zeros(len(VOCABULARY), dtype=int)
    sets = []
    for _, _, columns, shape in pictures:
        layers = [np.broadcast_to(part, shape) for parts in columns.values() for part in parts]
        masks = [np.any([part == label for part in layers], axis=0) & (label > 0) if layers else np.zeros(shape, bool)
                 for label in range(len(VOCABULARY))]  # fmt: skip
        sets.append(np.stack(masks))
        truth += sets[-1].sum(axis=(1, 2))
    for index, layer in enumerate(counter.layers):
        maps = []
        for _, pixels, _, _ in pictures:
            x = found.normalise(pixels[None].float() / 255)
            maps.append(found.module[: 2 * index + 2](x)[0].numpy())
        over = np.array([np.quantile(np.concatenate([m[u].ravel() for m in maps]).astype(np.float64), 1 - quantile)
                         for u in range(layer.units)])  # fmt: skip
        common = np.zeros((layer.units, len(VOCABULARY)), dtype=int)
        area = np.zeros((layer.units, len(VOCABULARY.categories)), dtype=int)
        for (_, pixels, _, shape), labels, m in zip(pictures, sets, maps, strict=True):
            for unit in range(layer.units):
                mask = slow_mask(m[unit], layer, shape, pixels.shape[1:], mode, over[unit])
                both = (labels & mask).sum(axis=(1, 2))
                common[unit] += both
                present = labels.any(axis=(1, 2)) if rule == "image" else both > 0
                for category in range(len(VOCABULARY.categories)):
                    area[unit, category] += mask.sum() * present[VOCABULARY.primary == category].any()
        answers[layer.name] = over, common, area
    return answers, truth


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([0.01, 0.1]),
       st.sampled_from(["receptive_field", "resize"]), st.sampled_from(["image", "hit"]))  # fmt: skip
def test_equals_the_slow_derivation(tmp_path_factory, seed, count, quantile, upsample, rule):
    found, pictures = network(seed), world(seed, count)
    # a batch of one image, so that activations agree to the last bit with those computed alone
    options = {"quantile": quantile, "upsample": upsample, "rule": rule, "batch_size": 1}
    seen, counter, sums = run(found, pictures, tmp_path_factory.mktemp("run"), **options)
    answers, truth = slowly(found, counter, pictures, quantile, upsample, rule)
    assert (sums.truth == truth).all()
    assert sums.pixels == sum(shape[0] * shape[1] for *_, shape in pictures)
    for name, (over, common, area) in answers.items():
        assert seen.thresholds(name) == pytest.approx(over, rel=1e-12, abs=0)
        assert (sums.layers[name].intersection == common).all()
        assert (sums.layers[name].activation == area).all()


def same(one, other):
    for name in one[2].layers:
        assert (one[0].thresholds(name) == other[0].thresholds(name)).all()
        assert (one[0].tops[name].image == other[0].tops[name].image).all()
        assert all((a == b).all() for a, b in zip(one[2].layers[name], other[2].layers[name], strict=True))
    assert one[0].used == other[0].used
    assert one[0].bad == other[0].bad
    assert (one[2].truth == other[2].truth).all()
    assert (one[2].carriers == other[2].carriers).all()
    assert one[2].pixels == other[2].pixels


def test_a_killed_run_ends_with_the_same_numbers(tmp_path, monkeypatch):
    found, pictures = network(3), world(3, 23)
    whole = run(found, pictures, tmp_path / "whole", bad=(5,))
    used = [picture for picture in pictures if picture[0] != 5]
    assert whole[2].pixels == sum(shape[0] * shape[1] for *_, shape in used)
    assert whole[2].truth.tolist() == run(found, used, tmp_path / "single", batch_size=1)[2].truth.tolist()
    for holder, name, kill_at in ((Labels, "of", 9), (Counter, "count", 3)):  # in the first pass, in the second
        calls = 0
        plain = getattr(holder, name)

        def killed(*args, at=kill_at, plain=plain, **options):
            nonlocal calls
            calls += 1
            if calls > at:
                raise KeyboardInterrupt
            return plain(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(holder, name, killed)
            with pytest.raises(KeyboardInterrupt):
                run(found, pictures, tmp_path / "killed", bad=(5,), workers=1)
    assert len(list((tmp_path / "killed" / "first").glob("*.npz"))) == 6
    same(run(found, pictures, tmp_path / "killed", bad=(5,)), whole)


def test_what_workers_compute_gives_the_same_numbers(tmp_path, monkeypatch):
    """Each batch by a worker that has seen no other one, as `engine.batches` yields them: in any order."""
    found, pictures = network(3), world(3, 23)
    whole = run(found, pictures, tmp_path / "whole", bad=(5,))
    sizes = [tuple(pixels.shape[1:]) for _, pixels, _, _ in pictures]
    layers, read, batches = survey_layers(found, ["1", "3"], sizes), reader(pictures, (5,)), mixed(len(pictures), 4)

    def first(positions):
        state = Survey.of(layers, sizes, 0.05)
        own = surveying(found, layers, lambda index: [read(number) for number in batches[index]], state)
        return own(positions.start // 4)

    over = {x.name: whole[0].thresholds(x.name) for x in layers}
    counter = Counter(found, layers, over, VOCABULARY, "receptive_field", "image")
    second = counting(counter, tmp_path / "remote" / "first", opener(pictures, (5,)))

    class Workers:
        def batches(self, make, positions, _name):
            for batch in reversed(positions):
                yield batch, make()(batch)

    monkeypatch.setattr(engine, "current", Workers)
    same(run(found, pictures, tmp_path / "remote", bad=(5,), works=(lambda: first, lambda: second)), whole)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_packed_labels_are_the_same_labels(seed, count):
    for group, _ in grouped([reader(world(seed, count))(number) for number in range(count)]):
        arrays = {f"0.{key}": value for key, value in group.packed().items()}
        again = Group.unpacked(arrays, "0.")
        assert (again.numbers.tolist(), again.shape, again.size) == (group.numbers.tolist(), group.shape, group.size)
        for name in ("maps", "whole", "area"):
            assert torch.equal(getattr(again.labels, name), getattr(group.labels, name))


def test_label_maps_are_decoded_once(tmp_path, monkeypatch):
    calls, plain = [], Labels.of
    monkeypatch.setattr(Labels, "of", lambda *args: calls.append(args) or plain(*args))
    run(network(3), world(3, 7), tmp_path)
    assert len(calls) == 7


def test_bad_pictures_are_named_and_count_nowhere(tmp_path):
    found, pictures = network(4), world(4, 9)
    with_bad = run(found, pictures, tmp_path / "a", bad=(0, 7), batch_size=1)
    assert sorted(with_bad[0].bad) == [Bad(0, "0.jpg", "broken"), Bad(7, "7.jpg", "broken")]
    assert sorted(with_bad[0].used) == [1, 2, 3, 4, 5, 6, 8]
    good = run(found, [p for p in pictures if p[0] not in {0, 7}], tmp_path / "b", batch_size=1)
    for name in with_bad[2].layers:
        assert (with_bad[0].thresholds(name) == good[0].thresholds(name)).all()
        assert (with_bad[2].layers[name].intersection == good[2].layers[name].intersection).all()


def test_top_images_are_those_with_the_highest_peaks(tmp_path):
    found, pictures = network(5), world(5, 11)
    seen, _, _ = run(found, pictures, tmp_path, batch_size=1)
    peaks = np.stack([found.module[:2](found.normalise(p[1][None].float() / 255)).amax((2, 3))[0] for p in pictures])
    for unit, images in enumerate(seen.tops["1"].image.tolist()):
        assert images == sorted(range(len(pictures)), key=lambda i: (-peaks[i, unit], i))[:3]


def identity():
    """A network whose layer `0` is the image itself: unit c is channel c."""
    conv = nn.Conv2d(3, 3, 1, bias=False)
    conv.weight.data = torch.eye(3)[:, :, None, None]
    plain = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))
    return Network(nn.Sequential(conv, nn.Flatten()), plain, ("a",), "identity")


def made_by_hand(masks, shown, tmp_path, extra=(), share=None):
    """Dissects channel 0 of images that show `shown` against label maps `masks` (cat, number 3)."""
    pictures = []
    for number, (mask, light) in enumerate(zip(masks, shown, strict=True)):
        pixels = torch.zeros(3, *mask.shape, dtype=torch.uint8)
        pixels[0] = torch.from_numpy(light.astype(np.uint8) * 255)
        pictures.append((number, pixels, {"object": (mask.astype(np.int32) * 3,)}, mask.shape))
    pictures += [(len(pictures) + i, *rest) for i, rest in enumerate(extra)]
    found = identity()
    sizes = [tuple(p[1].shape[1:]) for p in pictures]
    layers = survey_layers(found, ["0"], sizes)
    options = {"batch_size": 2, "workers": 1}
    share = np.mean([light.mean() for light in shown]) if share is None else share
    read = reader(pictures)
    seen = survey(found, layers, read, sizes, quantile=share, top_images=1, folder=tmp_path / "a", **options)
    over = {"0": seen.thresholds("0")}
    counter = Counter(found, layers, over, VOCABULARY, "receptive_field", "image")
    sums, _ = totals(counter, seen, opener(pictures), images=len(pictures), folder=tmp_path / "b", **options)
    return sums, over, iou(*sums.layers["0"], sums.truth, VOCABULARY)[0, 3]


def rectangle(top, left, tall, wide, shape=(20, 30)):
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + tall, left : left + wide] = True
    return mask


MASKS = [rectangle(2, 3, 6, 9), rectangle(8, 10, 6, 9)]


def test_an_activation_equal_to_the_mask_scores_one(tmp_path):
    assert made_by_hand(MASKS, MASKS, tmp_path)[2] == pytest.approx(1, abs=0)


def test_a_mask_shifted_by_one_pixel(tmp_path):
    # 9 columns of which 8 are shared, of 10 in all; then 6 rows of which 5 are shared, of 7 in all
    right = [np.roll(mask, 1, axis=1) for mask in MASKS]
    down = [np.roll(mask, 1, axis=0) for mask in MASKS]
    assert made_by_hand(MASKS, right, tmp_path / "right")[2] == pytest.approx(8 / 10, abs=1e-15)
    assert made_by_hand(MASKS, down, tmp_path / "down")[2] == pytest.approx(5 / 7, abs=1e-15)


def test_pictures_without_the_category_change_nothing(tmp_path):
    # two more images, lit all over, that carry colours only; the share keeps the threshold between dark and lit
    light = torch.full((3, 20, 30), 255, dtype=torch.uint8)
    extra = [(light, {"color": (1,)}, (20, 30)), (light, {"color": (np.full((20, 30), 2, np.int32),)}, (20, 30))]
    share = (2 * 600 + sum(mask.sum() for mask in MASKS)) / 2400
    plain, _, score = made_by_hand(MASKS, MASKS, tmp_path / "plain")
    more, _, again = made_by_hand(MASKS, MASKS, tmp_path / "more", extra, share)
    assert (score, again) == pytest.approx((1, 1), abs=0)
    assert (more.layers["0"].activation[0] == plain.layers["0"].activation[0] + [1200, 0, 0]).all()
    assert more.carriers.tolist() == [2, 2, 0]


def test_a_picture_that_vanishes_between_the_passes(tmp_path):
    found, pictures = network(6), world(6, 3)
    seen, counter, _ = run(found, pictures, tmp_path / "a")
    with pytest.raises(ValueError, match=r"1\.jpg"):
        totals(counter, seen, opener(pictures, bad=(1,)), images=3, batch_size=4, workers=1, folder=tmp_path / "b")
