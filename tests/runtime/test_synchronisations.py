"""How often a batch makes the host wait for a graphics card: values read one by one, sizes that depend on values."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deepinside.dissection.layers import survey_layers
from deepinside.dissection.thresholds import Survey
from deepinside.dissection.upsample import grid, hits
from deepinside.localisation.crops import viewed
from deepinside.methods.saliency import saliency
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch

WAITS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.equal.default}


class Waits(TorchDispatchMode):
    """Counts the operations after which the host has to wait."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in WAITS:
            self.counts[func.name().removeprefix("aten::")] += 1
        return func(*args, **(kwargs or {}))

    @property
    def total(self):
        return sum(self.counts.values())


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(8, 10),
    )  # fmt: skip
    return Network(module, Preprocessing(input=32, resize=40), tuple("abcdefghij"), "small")


def waits(work):
    work()  # what is computed once is computed
    with Waits() as seen:
        work()
    return seen


def test_the_maps_of_localisation_never_wait(network):
    image = torch.randint(0, 256, (3, 60, 48), dtype=torch.uint8)
    for top in (1, 5):  # the classes are copied to the host at once
        assert waits(lambda top=top: viewed(network, image, top=top)).total == 0


def test_saliency_waits_for_checks_alone(network):
    counts = []
    for n in (1, 8):
        batch = Batch(torch.rand(n, 3, 32, 32), tuple(map(str, range(n))), torch.arange(n))
        counts.append(waits(lambda batch=batch: saliency(network, batch)).total)
    assert counts == [3, 3]  # range of the images, range of the classes, a map of zeros


def test_dissection_waits_a_fixed_number_of_times_a_batch(network):
    layers = survey_layers(network, ["1"], [(32, 32)])
    surveys, masks = [], []
    for n in (2, 16):
        maps = torch.rand(n, 8, 15, 15)
        state = Survey.of(layers, [(32, 32)] * 1000, 0.005)
        surveys.append(waits(lambda maps=maps, state=state: state.see({"1": maps})).total)
        over = torch.full((8,), 0.9, dtype=torch.float64)
        place = grid((15, 15), (16, 16), (32, 32), layers[0].field, "resize")
        masks.append(waits(lambda maps=maps, over=over, place=place: hits(maps, over, place)).total)
    assert surveys == [4, 4]
    assert masks == [7, 7]
