import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepinside.localisation.crops import viewed
from deepinside.methods.deconvnet import project
from deepinside.network import Network, Preprocessing
from deepinside.probe import activations
from deepinside.runtime.memory import OutOfMemory, accounted, explained, halved, note, short
from deepinside.runtime.progress import resumable

NOT_ENOUGH = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError(),
]


class Tight(nn.Module):
    """Holds so many images and no more."""

    def __init__(self, most: int, error: Exception = NOT_ENOUGH[0]) -> None:
        super().__init__()
        self.most, self.error, self.tried = most, error, []

    def forward(self, pictures: Tensor) -> Tensor:
        self.tried.append(len(pictures))
        if len(pictures) > self.most:
            raise self.error
        return pictures


def network(most: int) -> Network:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)
    recipe = Preprocessing(input=16, resize=20)
    return Network(nn.Sequential(Tight(most), *parts), recipe, tuple("abcdef"), f"at most {most}")


@pytest.mark.parametrize("allocate", [lambda: torch.empty(2**59), lambda: np.empty(2**59), lambda: bytearray(2**62)])
def test_the_libraries_own_errors_are_recognised(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    assert short(caught.value)
    assert not short(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not short(OSError(28, "No space left on device"))


@pytest.mark.parametrize("error", NOT_ENOUGH, ids=str)
def test_a_batch_is_halved_until_it_fits_and_stays_so(error):
    tight = Tight(3, error)
    work = torch.arange(20.0).view(10, 2)
    with accounted() as lines:
        parts = halved(lambda part: tight(work[part]), 10, "rows")
        assert torch.equal(torch.cat(parts), work)
        assert tight.tried == [10, 5, 3, 3, 3, 1]
        halved(lambda part: tight(work[part]), 10, "rows")
        assert tight.tried[6:] == [3, 3, 3, 1]
        halved(lambda part: tight(work[part][:1]), 10, "columns")  # other work has other limits
        assert tight.tried[10:] == [1]
    assert lines == ["rows 3+3+3+1"] * 2
    with pytest.raises(type(error)):
        halved(lambda part: Tight(0, error)(work[part]), 10, "rows")


def test_other_errors_are_not_tried_again():
    tight = Tight(3, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        halved(lambda part: tight(torch.zeros(10)[part]), 10, "rows")
    assert tight.tried == [10]


def test_what_was_computed_is_freed_before_the_next_try():
    alive = []

    class Large:
        def __del__(self):
            alive.remove(self.count)

    def work(part):
        assert not alive
        large = Large()
        large.count = part.stop - part.start
        alive.append(large.count)
        if large.count > 2:
            raise MemoryError

    halved(work, 8, "rows")


@pytest.mark.parametrize("most", [1, 3, 7])
def test_a_network_in_parts_answers_as_at_once(most):
    images = torch.rand(10, 3, 16, 18)
    whole, tight = network(10), network(most)
    one = {"layer": "1", "units": [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]}

    def looked(net):
        return net.scores(images), activations(net, images, ("1", "2")), project(net, images, **one)

    with accounted() as lines:
        found = looked(tight)
    torch.testing.assert_close(found, looked(whole))
    assert [line.split()[0] for line in lines] == ["scores", "activations", "projections"]


@pytest.mark.parametrize("layer", [None, "1"])
@pytest.mark.parametrize("classes", [None, [4, 2]])
def test_a_photograph_seen_crop_by_crop_looks_the_same(layer, classes):
    photograph = torch.randint(0, 256, (3, 30, 41), dtype=torch.uint8)
    asked = {"top": 2, "also": 5, "layer": layer, "classes": classes}
    with accounted() as lines:
        ours = viewed(network(4), photograph, **asked)
    theirs = viewed(network(10), photograph, **asked)
    assert "crops 3+3+3+1" in lines
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right)


def test_the_account_survives_an_interruption(tmp_path):
    def compute(positions):
        with_limit = Tight(2)
        halved(lambda part: with_limit(torch.zeros(len(positions))[part]), len(positions), "rows")
        if positions.start == 4:
            raise KeyboardInterrupt
        return {"x": np.array(list(positions))}

    with accounted() as lines, pytest.raises(KeyboardInterrupt):
        list(resumable(tmp_path, 7, 4, compute, "first"))
    assert lines == []
    with accounted() as lines:
        answers = list(resumable(tmp_path, 7, 4, lambda part: {"x": np.array(list(part))}, "again"))
        note(["and so on"])
    assert [list(answer) for answer in answers] == [["x"], ["x"]]
    assert lines == ["again from 0: rows 2+2", "and so on"]


def test_where_nothing_can_be_halved_the_key_is_named():
    said = r"train: not enough memory \(CUDA error: out of memory\); lower train.batch_size"
    with pytest.raises(OutOfMemory, match=said), explained("stage", "nothing"), explained("train", "train.batch_size"):
        raise NOT_ENOUGH[1]
    with pytest.raises(ValueError, match="other"), explained("train", "train.batch_size"):
        raise ValueError("other")
