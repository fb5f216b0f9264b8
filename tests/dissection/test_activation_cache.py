"""One pass instead of two: what the first one keeps, and that it changes nothing."""

import pytest
import torch
from tests.dissection.test_passes import network, run, same, world

from deepinside.dissection.activation_cache import ActivationCache


class Counting:
    """Counts the images that a network's layers are shown."""

    def __init__(self, found):
        self.seen = {"1": 0, "3": 0}
        for name in self.seen:
            found.layer(name).register_forward_hook(lambda _m, args, _a, name=name: self.count(name, len(args[0])))

    def count(self, name, images):
        self.seen[name] += images


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in (folder / "second").glob("*.npz")}


PICTURES = world(11, 23)


@pytest.fixture(scope="module")
def two_passes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return run(network(11), PICTURES, folder, bad=(5,)), bytes_of(folder)


def never(number):
    pytest.fail(f"image {number} is asked for again")


def test_one_pass_gives_the_same_and_asks_for_no_picture_again(tmp_path, two_passes):
    found = network(11)
    counting = Counting(found)
    seen = run(found, PICTURES, tmp_path, bad=(5,), cache=ActivationCache(1 << 30), image=never)
    same(seen, two_passes[0])
    assert bytes_of(tmp_path) == two_passes[1]
    blanks = len({tuple(p[1].shape) for p in PICTURES}) + 1  # one of each size, and one for the receptive fields
    assert counting.seen == {"1": 22 + blanks, "3": 22 + blanks}


def test_a_layer_that_does_not_fit_takes_a_second_pass_that_ends_there(tmp_path, two_passes, monkeypatch):
    found = network(11)
    probe = ActivationCache(1 << 30)
    run(found, PICTURES, tmp_path / "probe", bad=(5,), cache=probe)
    assert probe.bytes == 0  # given out
    monkeypatch.setattr("deepinside.dissection.activation_cache._START", 0)
    counting = Counting(found)
    cache = ActivationCache(16000)  # room for the small maps of the second layer, not for those of the first
    same(run(found, PICTURES, tmp_path / "some", bad=(5,), cache=cache), two_passes[0])
    assert bytes_of(tmp_path / "some") == two_passes[1]
    assert cache._dropped == {"1"}
    assert counting.seen["1"] - counting.seen["3"] == 22
    none = ActivationCache(0)
    same(run(found, PICTURES, tmp_path / "none", bad=(5,), cache=none), two_passes[0])
    assert none._dropped == {"1", "3"}


def test_thinning_forgets_what_the_floor_has_passed_but_not_the_neighbours():
    maps = torch.tensor([[[[0.0, 1, 0, 0, 5], [0, 0, 0, 0, 0], [0, 0, 3, 0, 0]]]])
    cache = ActivationCache(1 << 20)
    cache.add(0, 0, {"a": maps}, {"a": torch.tensor([0.5])})
    cache._thin({"a": torch.tensor([4.0])})
    ((name, found),) = cache.pop(0, 0).items()
    inf = float("inf")
    assert name == "a"
    assert found.tolist() == [[[[-inf, -inf, -inf, 0, 5], [-inf, -inf, -inf, 0, 0], [-inf] * 5]]]
    assert cache.pop(0, 0) == {}


def test_memory_stays_within_the_budget(monkeypatch):
    monkeypatch.setattr("deepinside.dissection.activation_cache._START", 1000)
    cache = ActivationCache(4000)
    for batch in range(20):
        maps = {"a": torch.rand(2, 3, 5, 5), "b": torch.rand(2, 3, 2, 2)}
        cache.add(batch, 0, maps, {"a": torch.full((3,), 0.5), "b": torch.full((3,), 0.5)})
        assert cache.bytes <= 4000
    assert cache.holds(19, 1)
    assert not cache.holds(19, 2)
