"""Saliency and DeconvNet beside what they could cost: one command, one table.

    python benchmarks/saliency.py --rounds 7 --out benchmarks/results.csv

Ours and the other run in turns in one process, so that whatever else the machine does meets both; a ratio is the
other's time over ours in the same round, and the table shows the median of the rounds, the smallest and the largest.
"""

import argparse
import gc
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from captum.attr import Deconvolution, GuidedBackprop, Saliency
from record import Record, keep
from torch import Tensor, nn
from torch.nn import functional
from torchvision import transforms

from deepinside.methods.deconvnet import project
from deepinside.methods.saliency import saliency
from deepinside.methods.top_activations import strongest_pictures, top_activations
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch, Boxes
from deepinside.study import Pictures

LAYER, UNITS, TOP, PICTURES, SIDE = "features.11", 256, 9, 64, 224


class Case(NamedTuple):
    """Two ways to the same result; `count` results come of one call; `target` is the least ratio hoped for."""

    name: str
    other: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    count: int
    target: float | None = None


class Line(NamedTuple):
    """What the table shows of a case; times in milliseconds per result, medians of the rounds."""

    case: str
    other: str
    ours_ms: float
    other_ms: float
    ratio: float
    lowest: float
    highest: float
    cpu_ratio: float
    target: float | None


def network(name: str) -> Network:
    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None)
    return Network(module, Preprocessing(), list(map(str, range(1000))), name)


def plain(net: Network) -> nn.Module:
    # The same without our gradient of the first convolution, normalisation included.
    return nn.Sequential(transforms.Normalize(net.preprocessing.mean, net.preprocessing.std), net.module)


def batch(count: int) -> Batch:
    # Coloured clouds, so that pools and ReLUs have something to decide.
    generator = torch.Generator().manual_seed(count)
    coarse = torch.rand(count, 3, 14, 14, generator=generator)
    images = functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)
    return Batch(images, tuple(map(str, range(count))), torch.arange(count) % 1000)


def bare(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    # As little as the result takes: one forward pass, one call of autograd, maximum of the magnitude.
    leaf = images.detach().clone().requires_grad_()
    scores = net(leaf)
    (gradient,) = torch.autograd.grad(scores.gather(1, labels[:, None]).sum(), leaf)
    return gradient.abs().amax(dim=1)


def captum(method: type, net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(net).attribute(images.detach().clone().requires_grad_(), target=labels).abs().amax(dim=1)


def map_cases(net: Network) -> Iterator[Case]:
    for size in (1, 32):
        part = batch(size)
        given = (plain(net), part.images, part.labels)
        for other, theirs, target in (("bare autograd.grad", bare, 0.95), ("captum Saliency", None, None)):
            work = theirs or (lambda *g: captum(Saliency, *g))
            yield Case(
                f"gradient map, batch {size}",
                other,
                lambda p=part: saliency(net, p),
                lambda w=work, g=given: w(*g),
                size,
                target,
            )
        for rule, method in (("guided", GuidedBackprop), ("deconvnet", Deconvolution)):
            yield Case(
                f"{rule} map, batch {size}",
                f"captum {method.__name__}",
                lambda p=part, r=rule: saliency(net, p, rule=r),
                lambda m=method, g=given: captum(m, *g),
                size,
            )


def six(net: nn.Module, images: Tensor) -> None:
    # The passes of localise: one forward, and one backward for each of six classes.
    leaf = images.detach().clone().requires_grad_()
    scores = net(leaf)
    for label in range(6):
        torch.autograd.grad(scores[:, label].sum(), leaf, retain_graph=label < 5)


def pass_cases() -> Iterator[Case]:
    for name, target in (("squeezenet1_0", 1.4), ("alexnet", 1.15), ("resnet18", None)):
        net, images = network(name), batch(10).images
        beside = plain(net)
        yield Case(
            f"{name}, forward and six backward, ten crops",
            "plain autograd",
            lambda net=net, images=images: six(net, images),
            lambda net=beside, images=images: six(net, images),
            10,
            target,
        )


def sharing_cases(net: Network) -> Iterator[Case]:
    one, ten = batch(1), batch(10)
    classes = torch.arange(5)[None]
    yield Case(
        "five classes of one picture",
        "captum Saliency, five calls",
        lambda: saliency(net, one, classes=classes),
        lambda: [captum(Saliency, plain(net), one.images, classes[:, column]) for column in range(5)],
        5,
        1.4,
    )
    singles = [Batch(ten.images[i : i + 1], (str(i),), ten.labels[i : i + 1]) for i in range(10)]
    yield Case(
        "ten crops in one batch",
        "ours, ten calls",
        lambda: saliency(net, ten),
        lambda: [saliency(net, s) for s in singles],
        10,
        1.5,
    )


def pictures() -> Pictures:
    images = batch(PICTURES).images
    boxes = tuple(Boxes([]) for _ in images)  # none known
    return Pictures(tuple(map(str, range(PICTURES))), (-1,) * PICTURES, boxes, lambda position: images[position])


def projection_case(net: Network, of: Pictures, size: int = 32) -> Case:
    units = list(range(0, UNITS, UNITS // size))
    tops = strongest_pictures(net, of, layer=LAYER, units=units, top=1)
    images = torch.stack([of.read(int(position)) for position in tops.pictures[:, 0]])
    places = tops.places[:, 0]

    def alone(i: int) -> object:
        return project(net, images[i : i + 1], layer=LAYER, units=units[i : i + 1], positions=places[i : i + 1])

    return Case(
        f"DeconvNet of {LAYER}, {size} at once",
        "ours, one at a time",
        lambda: project(net, images, layer=LAYER, units=units, positions=places),
        lambda: [alone(i) for i in range(size)],
        size,
    )


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def paired(case: Case, rounds: int) -> Line:
    case.ours(), case.theirs()  # the first call of anything is slower
    ours, theirs = [], []
    for turn in range(rounds):
        gc.collect()
        pair = [(ours, case.ours), (theirs, case.theirs)]
        for times, work in pair if turn % 2 == 0 else reversed(pair):
            times.append(clocked(work))
    ratios = [other[0] / our[0] for our, other in zip(ours, theirs, strict=True)]
    cpu = statistics.median(other[1] / our[1] for our, other in zip(ours, theirs, strict=True))
    medians = [1000 * statistics.median(wall for wall, _ in times) / case.count for times in (ours, theirs)]
    return Line(case.name, case.other, *medians, statistics.median(ratios), min(ratios), max(ratios), cpu, case.target)


def shown(line: Line) -> str:
    verdict = "" if line.target is None else f"  {line.target:.2f} {'met' if line.ratio >= line.target else 'MISSED'}"
    return (
        f"{line.case:48} {line.other:28} {line.ours_ms:9.1f} {line.other_ms:9.1f} {line.ratio:7.2f} "
        f"{line.lowest:5.2f}..{line.highest:<5.2f} {line.cpu_ratio:7.2f}{verdict}"
    )


def record(line: Line) -> Record:
    target = "" if line.target is None else f"at least {line.target:g}"
    times = line.ours_ms, line.other_ms, "ms"
    return Record("saliency", line.case, line.other, *times, line.ratio, line.lowest, line.highest, target)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC, load ") + f"{os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the table of all benchmarks, whose rows of this one are replaced")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--layer", action="store_true", help=f"also {UNITS} units x {TOP} of {LAYER}: minutes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{_now()}, torch {torch.__version__}, {options.threads} threads of {os.cpu_count()}, {options.rounds} rounds"
    )
    print(f"{'case':48} {'beside':28} {'ours ms':>9} {'other ms':>9} {'ratio':>7} {'min..max':12} {'CPU':>7}  target")
    net, of = network("alexnet"), pictures()
    lines = []
    for case in (*map_cases(net), *pass_cases(), *sharing_cases(net), projection_case(net, of)):
        if options.only not in case.name:
            continue
        lines.append(paired(case, options.rounds))
        print(shown(lines[-1]), flush=True)
    if options.layer:
        wall, cpu = clocked(lambda: top_activations(net, of, layer=LAYER, units=None, top=TOP))
        each = 1000 / (UNITS * TOP)
        print(
            f"top {TOP} of all {UNITS} units of {LAYER} over {PICTURES} pictures: {wall:.1f} s, "
            f"{wall * each:.1f} ms and {cpu * each:.1f} CPU ms a projection, search and patches included"
        )
    print(_now())
    keep(options.out, map(record, lines), options.threads)


if __name__ == "__main__":
    main()
