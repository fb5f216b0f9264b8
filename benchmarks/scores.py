"""Scores of images without a graph beside the bare network: channels last and few images at once, or as they come.

    OMP_NUM_THREADS=1 python benchmarks/scores.py --out benchmarks/results.csv

Random weights, 50 images, as RISE asks for at once. Both sides take turns in one process; a ratio is theirs over ours
within a round.
"""

import argparse
import statistics
import time
from pathlib import Path

import timm
import torch
import torchvision
from record import Record, keep

from deepinside.network import Network, Preprocessing

NETWORKS = ("squeezenet1_0", "alexnet", "resnet18", "googlenet", "mobilenet_v2", "tf_efficientnet_lite0")
IMAGES, SIDE = 50, 224


def network(name: str) -> Network:
    torch.manual_seed(0)
    timms = name in timm.list_models(name)
    module = timm.create_model(name) if timms else torchvision.models.get_model(name, weights=None)
    return Network(module, Preprocessing(), list(map(str, range(1000))), name)


def wall(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compared(net: Network, rounds: int) -> Record:
    images = torch.rand(IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def bare() -> torch.Tensor:
        with torch.no_grad():
            return net(images)

    ours, theirs = net.scores(images), bare()
    apart = float((ours - theirs).abs().max() / theirs.abs().max())
    times = []
    for number in range(rounds):
        sides = [lambda: net.scores(images), bare]
        found = [wall(side) for side in (sides if number % 2 else reversed(sides))]
        times.append(found if number % 2 else found[::-1])
    ratios = [other / our for our, other in times]
    own, other = (1000 * statistics.median(side) / IMAGES for side in zip(*times, strict=True))
    print(f"| {net.name} | {own:.1f} ms | {other:.1f} ms | {statistics.median(ratios):.2f} ({min(ratios):.2f}.."
          f"{max(ratios):.2f}) | {apart:.0e} |", flush=True)  # fmt: skip
    return Record("scores", f"{net.name}, {IMAGES} images", "the bare network", own, other, "ms an image",
                  statistics.median(ratios), min(ratios), max(ratios), "at least 1")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the table of all benchmarks, whose rows of this one are replaced")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| network | ours | bare | ratio | largest difference |\n|---|---|---|---|---|")
    keep(options.out, [compared(network(name), options.rounds) for name in NETWORKS], options.threads)


if __name__ == "__main__":
    main()
