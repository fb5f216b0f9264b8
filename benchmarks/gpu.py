"""What a graphics card computes, beside its floor in the same run, and how closely it agrees with the CPU.

    python benchmarks/gpu.py --out gpu.csv                                   # at most eight minutes on one card
    OMP_NUM_THREADS=1 python benchmarks/gpu.py --device cpu --size tiny      # the same script, to test it

Random weights and generated photographs; nothing is downloaded. Floors: the bare training step on tensors on the
device; plain autograd for a map; the network's own passes for `localise` and `dissect`; one forward and backward pass
a step, ended at the layer, for maximisation. Agreement is the largest difference from the CPU, as a share of the
largest value there.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import activation_maximization as maximisation
import dissect as probe
import numpy as np
import torch
from omegaconf import OmegaConf
from record import Record, keep
from torch import Tensor
from torch.nn.functional import cross_entropy

import stages
from deepinside.methods.saliency import saliency
from deepinside.models.classifier import Classifier
from deepinside.models.convnet import convnet
from deepinside.network import Network
from deepinside.probe import activations
from deepinside.records import Batch


class Size(NamedTuple):
    """How much is computed."""

    batch: int  # images of a training step
    steps: int  # of training, and of maximisation
    crops: int  # maps at once
    images: int  # photographs of localise
    probe: int  # images of dissect
    rounds: int


SIZES = {"whole": Size(128, 30, 256, 64, 2048, 3), "tiny": Size(2, 2, 2, 2, 4, 1)}


def waited(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def ratio(case: str, beside: str, device: torch.device, rounds: int, ours: Callable, floor: Callable) -> Record:
    """Both sides in turns, after one round that warms them up."""
    times = np.array([[waited(device, ours), waited(device, floor)] for _ in range(rounds + 1)])[1:]
    ratios = times[:, 0] / times[:, 1]
    seconds = np.median(times, axis=0)
    one = Record("gpu", case, beside, *seconds, "s", np.median(ratios), ratios.min(), ratios.max())
    print(f"{case}: {one.ours:.3g} s, {beside} {one.theirs:.3g} s, {one.ratio:.2f}", flush=True)
    return one


def training(device: torch.device, size: Size) -> Record:
    """A step of the ILSVRC ConvNet at its full size, as Lightning calls it, beside a bare loop."""
    keys = {"classes": stages.NAMES, "widths": (64, 256, 256, 256, 256), "hidden": (4096, 4096)}
    settings = OmegaConf.to_container(OmegaConf.load(stages.CONF / "train" / "default.yaml"))["optimiser"]

    def learner() -> Network:
        torch.manual_seed(0)
        network = convnet(**keys).to(device)
        network.train().requires_grad_(requires_grad=True)
        return network

    ours, bare = Classifier(learner(), **settings), learner()
    side = bare.preprocessing.input
    images = torch.randint(0, 256, (size.batch, 3, side, side), dtype=torch.uint8, device=device)
    labels = torch.arange(size.batch, device=device)
    sides = [(ours, torch.optim.AdamW(ours.parameters(), 1e-3)), (bare, torch.optim.AdamW(bare.parameters(), 1e-3))]

    def classified() -> None:
        for _ in range(size.steps):
            sides[0][1].zero_grad()
            cross_entropy(ours.network(images.float() / 255), labels).backward()
            sides[0][1].step()

    def plain() -> None:
        pixels = images.float() / 255
        for _ in range(size.steps):
            sides[1][1].zero_grad()
            cross_entropy(bare.module(bare.normalise(pixels)), labels).backward()
            sides[1][1].step()

    return ratio(f"{size.steps} training steps of {size.batch}", "bare loop", device, size.rounds, classified, plain)


def maps(device: torch.device, size: Size) -> Iterator[Record]:
    """Gradient maps of AlexNet beside plain autograd, and their agreement with the CPU."""
    network, pixels = probe.alexnet(), torch.rand(size.crops, 3, probe.SIDE, probe.SIDE)
    targets = torch.arange(size.crops)
    slow = saliency(network, Batch(pixels[:2], ("a", "b"), targets[:2]), rule="gradient").values
    network, there = network.to(device), pixels.to(device)
    names = tuple(map(str, range(size.crops)))

    def floor() -> Tensor:
        images = there.clone().requires_grad_()
        score = network(images).gather(1, targets.to(device)[:, None]).sum()
        return torch.autograd.grad(score, images)[0].abs().amax(dim=1)

    work = partial(saliency, network, Batch(there, names, targets.to(device)), rule="gradient")
    yield ratio(f"{size.crops} gradient maps", "plain autograd", device, size.rounds, work, floor)
    yield agreement("gradient maps", work().values[:2], slow)


def agreement(case: str, found: Tensor, expected: Tensor) -> Record:
    """How far the device is from the CPU."""
    far = float((found.cpu() - expected).abs().max() / expected.abs().max())
    print(f"{case}: {far:.1e} from the CPU", flush=True)
    return Record("gpu", f"agreement of {case}", "the CPU", far, 0.0, "share", far, far, far)


def whole(device: torch.device, size: Size, root: Path) -> Iterator[Record]:
    """Whole stages beside the network alone."""
    network = probe.alexnet().to(device)
    options = argparse.Namespace(workers=4, threads=1)
    (root / "photographs").mkdir()
    index = stages.photographs(root / "photographs", size.images)
    ready = [crops.to(device) for crops in stages.crops(index, network)]
    chosen = stages.chosen("localise", "simonyan2013")
    yield ratio(
        f"localise, {size.images} photographs", "the network alone", device, size.rounds,
        lambda: stages.run(stages.localise, network, index, root, options, localise=chosen),
        lambda: [stages.backward(network, images, 6) for images in ready],
    )  # fmt: skip
    probe.draw(root / "broden", size.probe)
    chosen = stages.chosen("dissect", "default", layers=list(probe.CONV), cards=0)
    pixels = torch.rand(min(size.probe, probe.BATCH), 3, probe.SIDE, probe.SIDE, device=device)

    def floor() -> None:
        with torch.no_grad():
            for _ in range(0, size.probe, len(pixels)):
                activations(network, pixels, probe.CONV)

    yield ratio(
        f"dissect conv1-5, {size.probe} images", "forward passes on tensors in memory", device, size.rounds,
        lambda: stages.run(stages.dissect, network, index, root / "broden", options, dissect=chosen), floor,
    )  # fmt: skip


def synthesis(device: torch.device, size: Size) -> Record:
    """Eight units of AlexNet's conv5 by gradient ascent."""
    network = probe.alexnet().to(device)
    units, layer = list(range(maximisation.TOGETHER)), int(maximisation.LAYER.rpartition(".")[2])
    upto = network.module.features[: layer + 1]
    images = torch.rand(len(units), 3, maximisation.SIDE, maximisation.SIDE, device=device)

    def floor() -> None:
        for _ in range(size.steps):
            pixels = images.clone().requires_grad_()
            torch.autograd.grad(upto(network.normalise(pixels)).mean(), pixels)

    return ratio(
        f"{size.steps} steps of 8 maximised units", "forward and backward passes", device, size.rounds,
        partial(maximisation.ours, network, units, len(units), "everywhere", size.steps), floor,
    )  # fmt: skip


def main() -> None:
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--size", default="whole", choices=SIZES)
    parser.add_argument("--out", type=Path, help="a table of its own")
    options = parser.parse_args()
    device, size = torch.device(options.device), SIZES[options.size]
    print(torch.cuda.get_device_name() if device.type == "cuda" else "CPU", torch.__version__)
    found = [training(device, size), *maps(device, size), synthesis(device, size)]
    with tempfile.TemporaryDirectory() as place:
        found += whole(device, size, Path(place))
    keep(options.out, found)


if __name__ == "__main__":
    main()
