import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepinside.data.augmentation import Augmentation, Look, look, seen
from deepinside.data.datamodule import Canvases, Order, Pictures, Views, mean_colour
from deepinside.data.index import NO_BOXES, Entry, Index, read_image
from deepinside.network import Preprocessing
from deepinside.views import canvas, canvas_size, cut, placements

SIZES = ((40, 30), (30, 44), (60, 60))  # width, height
TOLD = Preprocessing(mean=(0.5, 0.25, 1.0), std=(1, 1, 1), input=20, resize=24)
TOLD_COLOUR = mean_colour(TOLD)
NOTHING = Augmentation(flip=0.0)
EVERYTHING = Augmentation(zoom=(0.6, 1.0), flip=0.5, zero=0.7, light=0.3, contrast=0.3)


@pytest.fixture
def index(tmp_path):
    entries = []
    for i in range(7):
        width, height = SIZES[i % 3]
        pixels = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"p{i}.png")
        split = "val" if i == 6 else "train"
        entries.append(Entry(f"p{i}", f"p{i}.png", split, i % 2, NO_BOXES, width, height))
    return Index(tmp_path, ("a", "b"), ("cat", "dog"), tuple(entries))


def module(index, augmentation=EVERYTHING, **changes):
    options = {"seed": 3, "batch_size": 4, "workers": 0, "cache_gb": 1.0} | changes
    made = Pictures(index.split("train"), index.split("val"), TOLD, augmentation, **options)
    made.setup("fit")
    return made


def epoch(made, number):
    loader = made.train_dataloader()
    loader.sampler.set_epoch(number)
    return list(loader)


def test_batches_are_the_same_whatever_the_workers_and_the_cache(index):
    kept = module(index)
    read = module(index, cache_gb=0.0)
    shared = module(index, cache_gb=0.0, workers=2)
    assert kept.train_views.canvases.cached is not None
    assert read.train_views.canvases.cached is None
    assert shared.train_dataloader().num_workers == 2
    for number in (0, 1):
        batches = [epoch(made, number) for made in (kept, read, shared)]
        for (images, labels), *others in zip(*batches, strict=True):
            assert images.shape == (4, 3, 20, 20)
            assert images.dtype == torch.uint8
            for other_images, other_labels in others:
                assert torch.equal(images, other_images)
                assert torch.equal(labels, other_labels)


def test_epochs_seeds_and_positions_differ():
    def drawn(*key):
        return look(EVERYTHING, key, (200, 300), 100)

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    assert len({drawn(seed, number, i) for seed in range(3) for number in range(3) for i in range(3)}) == 27
    way = drawn(1, 2, 3)  # written down once: another machine or version must draw the same
    assert way[:4] == (19, 48, 174, True)
    assert way.hole == pytest.approx((0.579407, 0.346268, 0.757161, 0.624146), abs=1e-6)
    assert (way.light, way.contrast) == pytest.approx((0.895908, 0.784684), abs=1e-6)


def test_order_is_a_permutation_of_its_own_for_each_epoch_and_is_dealt_out():
    def keys(number, seed=5, **device):
        order = Order(11, seed, **device)
        order.set_epoch(number)
        return list(order)

    assert sorted(position for _, position in keys(0)) == list(range(11))
    assert {number for number, _ in keys(4)} == {4}
    assert [p for _, p in keys(0)] != [p for _, p in keys(1)]
    assert keys(1) == keys(1) != keys(1, seed=6)
    both = [keys(2, rank=rank, world=2) for rank in (0, 1)]
    assert [len(part) for part in both] == [len(Order(11, 5, rank, 2)) for rank in (0, 1)] == [5, 5]  # as many steps
    assert sorted(both[0] + both[1]) == sorted(keys(2)[:10])
    assert [p for _, p in keys(0, seed=None)] == list(range(11))
    assert [len(Order(11, None, rank, 2)) for rank in (0, 1)] == [6, 5]  # none is left out of a test


@given(
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
    st.integers(0, 2**31),
    st.floats(0.2, 1.0),
    st.sampled_from([None, 0.0, 0.5]),
)
@settings(max_examples=80, deadline=None)
def test_windows_lie_inside_the_canvas(size, index, zoom, low):
    spread = None if low is None else (min(0.2 + low, zoom), zoom)
    way = look(Augmentation(zoom=spread, zero=0.5), (0, 0, index), size, 20)
    assert 0 <= way.top <= size[0] - way.side
    assert 0 <= way.left <= size[1] - way.side
    if spread is None:
        assert way.side == 20
    y0, x0, y1, x1 = way.hole
    assert 0 <= y0 <= y1 <= 1
    assert 0 <= x0 <= x1 <= 1
    assert (y1 - y0 == 0) == (x1 - x0 == 0)


def test_every_window_is_reached():
    ways = [look(NOTHING, (0, 0, i), (23, 21), 20) for i in range(400)]
    assert {way.top for way in ways} == {0, 1, 2, 3}
    assert {way.left for way in ways} == {0, 1}
    assert not any(way.mirrored for way in ways)
    flips = [look(Augmentation(flip=0.5), (0, 0, i), (23, 21), 20).mirrored for i in range(400)]
    assert 150 < sum(flips) < 250


def test_a_window_is_cut_mirrored_and_holed_by_hand():
    picture = torch.arange(3 * 5 * 6, dtype=torch.uint8).view(3, 5, 6)  # value = 30 c + 6 y + x
    mean = torch.tensor([200, 201, 202], dtype=torch.uint8).view(3, 1, 1)
    way = Look(top=1, left=2, side=4, mirrored=True, hole=(0.5, 0.0, 1.0, 0.25), light=1.0, contrast=1.0)
    got = seen(picture, way, 4, mean)
    # rows y = 1..4, columns x = 5 4 3 2; the hole covers the two lower rows of the first column
    assert got[0].tolist() == [[11, 10, 9, 8], [17, 16, 15, 14], [200, 22, 21, 20], [200, 28, 27, 26]]
    assert got[2, 2].tolist() == [202, 82, 81, 80]
    assert picture[0, 3, 5] == 23  # the canvas itself has no hole


def test_noise_has_its_deviation_and_is_that_of_its_key():
    grey = torch.full((3, 64, 64), 128, dtype=torch.uint8)
    way = look(Augmentation(noise=0.1, flip=0.0), (0, 1, 2), (64, 64), 64)
    assert 0 < way.noise < 0.1
    noisy = seen(grey, way, 64, TOLD_COLOUR)
    assert float((noisy.float() / 255).std()) == pytest.approx(way.noise, rel=0.05)
    assert torch.equal(noisy, seen(grey, way, 64, TOLD_COLOUR))
    other = look(Augmentation(noise=0.1, flip=0.0), (0, 1, 3), (64, 64), 64)
    assert not torch.equal(noisy, seen(grey, other._replace(noise=way.noise), 64, TOLD_COLOUR))


def test_light_and_contrast_by_hand():
    picture = torch.tensor([[0, 100], [100, 200]], dtype=torch.uint8).expand(3, 2, 2)
    way = Look(0, 0, 2, mirrored=False, hole=(0, 0, 0, 0), light=1.5, contrast=0.5)
    got = seen(picture, way, 2, torch.zeros(3, 1, 1, dtype=torch.uint8))
    assert got[0].tolist() == [[75, 150], [150, 225]]  # (value - 100) * 0.5 + 100, times 1.5
    bright = seen(picture, way._replace(light=3.0), 2, torch.zeros(3, 1, 1, dtype=torch.uint8))
    assert bright[0].tolist() == [[150, 255], [255, 255]]


def test_a_zoomed_window_is_resized():
    picture = torch.zeros(3, 30, 40, dtype=torch.uint8)
    picture[:, :, 20:] = 240
    way = Look(top=0, left=5, side=30, mirrored=False, hole=(0, 0, 0, 0), light=1.0, contrast=1.0)
    got = seen(picture, way, 10, torch.zeros(3, 1, 1, dtype=torch.uint8))
    assert got.shape == (3, 10, 10)
    assert got[0, 5].tolist() == pytest.approx([0, 0, 0, 0, 0, 240, 240, 240, 240, 240], abs=50)  # edge at 15 of 30


def test_validation_sees_the_centre_crop_of_the_canvas(index):
    views = module(index).val_views
    images, labels = views.__getitems__([(9, 0)])
    picture = canvas(read_image(index.root / "p6.png"), TOLD)
    (place,) = placements(*picture.shape[1:], 20, "centre")
    assert torch.equal(images[0].float() / 255, cut(picture, (place,), 20)[0])
    assert labels.tolist() == [0]


def test_the_hole_has_the_colour_that_the_network_sees_as_zero():
    assert mean_colour(TOLD).flatten().tolist() == [128, 64, 255]
    caffe = Preprocessing(mean=(104, 117, 123), std=(1, 1, 1), bgr=True, scale=255)
    assert mean_colour(caffe).flatten().tolist() == [123, 117, 104]  # red first


def test_a_broken_picture_does_not_end_the_training(index, caplog):
    path = index.root / "p2.png"
    path.write_bytes(path.read_bytes()[:500])
    for gigabytes in (0.0, 1.0):
        caplog.clear()
        views = module(index, cache_gb=gigabytes).train_views
        images, labels = views.__getitems__([(0, 1), (0, 2)])
        assert labels.tolist() == [1, -1]
        assert torch.equal(images[1], mean_colour(TOLD).expand(3, 20, 20))
        assert "p2.png" in caplog.text


def test_only_what_fits_is_kept(index):
    sizes = [canvas_size(entry.height, entry.width, 24) for entry in index.entries]
    assert sizes[:3] == [(24, 32), (35, 24), (24, 24)]
    total = sum(3 * height * width for height, width in sizes)
    assert Canvases(index, TOLD, (total + 1) / 1e9).fits
    assert not Canvases(index, TOLD, (total - 1) / 1e9).fits
    made = Canvases(index, TOLD, 1.0)
    made.keep(threads=2)
    assert [tuple(made[i].shape[1:]) for i in range(len(index))] == sizes


def test_a_short_last_batch_is_dropped_in_training_only(index):
    made = module(index)
    assert [len(labels) for _, labels in epoch(made, 0)] == [4]  # of 6
    assert [len(labels) for _, labels in made.val_dataloader()] == [1]
    assert [len(labels) for _, labels in epoch(module(index, batch_size=16), 0)] == [6]


def test_unlabelled_pictures_are_left_out_and_nothing_at_all_is_said(index):
    unknown = tuple(Entry(e.image, e.file, e.split, -1, NO_BOXES, e.width, e.height) for e in index.entries)
    blind = Index(index.root, index.ids, index.classes, unknown)
    with pytest.raises(ValueError, match="no labelled train images"):
        Pictures(blind.split("train"), index.split("val"), TOLD, NOTHING, seed=0, batch_size=2, workers=0, cache_gb=1)
    mixed = Index(index.root, index.ids, index.classes, unknown[:3] + index.entries[3:])
    assert len(module(mixed).train_views.canvases) == 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"zoom": (0.8, 0.5)}, "zoom as two rising shares"),
        ({"zoom": (0.5, 1.5)}, "zoom"),
        ({"zero_side": (0.5,)}, "zero_side"),
        ({"flip": 1.5}, "flip in"),
    ],
)
def test_impossible_variations_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        Augmentation(**wrong)


def test_views_are_pure(index):
    canvases = Canvases(index.split("train"), TOLD, 1.0)
    canvases.keep(1)
    before = [canvases[i].clone() for i in range(6)]
    views = Views(canvases, Augmentation(zero=1.0, light=0.5), seed=0)
    first = views.__getitems__([(0, i) for i in range(6)])[0]
    again = views.__getitems__([(0, i) for i in reversed(range(6))])[0].flip(0)
    assert torch.equal(first, again)
    assert all(torch.equal(canvases[i], before[i]) for i in range(6))
