"""Activation maximisation beside lucent: conv5 channels of AlexNet, equal steps, resolution and transforms.

    pip install --target /somewhere --no-deps torch-lucent kornia kornia_rs decorator tqdm
    python benchmarks/activation_maximization.py --lucent /somewhere --rounds 5

Both run in turns in one process; a ratio is lucent's time per unit over ours in the same round. Without lucent ours is
timed alone. Then memory: the process's resident size while many units are made, and while one is made for long.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchvision
import yaml
from record import Record, keep

from deepinside.methods.activation_maximization import activation_maximization
from deepinside.network import Network, Preprocessing
from deepinside.pipeline.configuration import folder
from deepinside.records import Batch

LAYER, SIDE, STEPS, JITTER, TOGETHER = "features.10", 224, 24, 4, 8
TARGETS = {1: "at least 2.5", TOGETHER: "at least 1.5"}


@contextlib.contextmanager
def peer(place: str | None) -> Generator[None]:
    """Lucent's folder on the path while the block lasts."""
    if place:
        sys.path.append(place)
    try:
        yield
    finally:
        if place:
            sys.path.remove(place)


def ours(network: Network, units: list[int], batch_size: int, place: str, steps: int = STEPS) -> None:
    """Makes the units' pictures."""
    keys = yaml.safe_load((folder() / "method" / "activation_maximization.yaml").read_text())
    del keys["_target_"]
    keys |= {"layer": LAYER, "units": units, "place": place, "steps": steps, "batch_size": batch_size}
    keys |= {"canvas": {"kind": "fourier", "decay": 1.0, "chroma": 1.0}, "start": {"kind": "normal", "sigma": 0.01}}
    keys |= {"step": {"policy": "adam", "rate": 0.05}, "priors": {"jitter": {"pixels": JITTER}}}
    activation_maximization(network, Batch(torch.zeros(0, 3, 1, 1), ()), **keys)


def lucents(units: list[int], batch_size: int, objective: str) -> Callable[[], None]:
    """Lucent's way to the same pictures."""
    from lucent.optvis import objectives, param, render, transform

    model = torchvision.models.alexnet(weights=None).eval()
    name = LAYER.replace(".", "_")
    one = objectives.channel if objective == "everywhere" else objectives.neuron

    def work() -> None:
        for first in range(0, len(units), batch_size):
            part = units[first : first + batch_size]
            goals = [one(name, unit, batch=i if batch_size > 1 else None) for i, unit in enumerate(part)]
            render.render_vis(
                model,
                goals[0] if len(goals) == 1 else sum(goals[1:], goals[0]),
                partial(param.image, SIDE, batch=len(part), fft=True, decorrelate=True),
                transforms=[transform.jitter(2 * JITTER)],
                thresholds=(STEPS,),
                progress=False,
                show_image=False,
            )

    return work


def resident() -> float:
    """Resident memory of this process in MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def clock(work: Callable[[], None]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lucent", help="folder that lucent was installed into")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the table of all benchmarks, whose rows of this one are replaced")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    np.random.seed(0)  # ruff: ignore[numpy-legacy-random]  lucent draws from it
    preprocessing = Preprocessing(input=SIDE, resize=256)
    network = Network(torchvision.models.alexnet(weights=None), preprocessing, [str(i) for i in range(1000)], "alexnet")
    units = list(range(TOGETHER))
    load = os.getloadavg()[0]
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {load:.1f}, torch {torch.__version__}, "
        f"{arguments.threads} threads"
    )
    print(f"{LAYER}, {SIDE} pixels, {STEPS} steps, jitter of {JITTER} pixels, ours {TOGETHER} units at once")
    records = []
    with peer(arguments.lucent):
        for place in ("everywhere", "centre"):
            cases = {"lucent, one at a time": (units[:2], 1), f"lucent, {TOGETHER} at once": (units, TOGETHER)}
            for name, (part, batch_size) in cases.items() if arguments.lucent else ():
                theirs = lucents(part, batch_size, place)
                theirs()
                ratios, mine, other = [], [], []
                for _ in range(arguments.rounds):
                    our_time = clock(lambda place=place: ours(network, units, TOGETHER, place)) / len(units)
                    other.append(clock(theirs) / len(part))
                    ratios.append(other[-1] / our_time)
                    mine.append(our_time)
                what = "channel" if place == "everywhere" else "unit on its receptive field"
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
                times = 1000 * statistics.median(mine), 1000 * statistics.median(other), "ms a unit"
                ratio = statistics.median(ratios), min(ratios), max(ratios)
                records.append(Record("activation maximisation", what, name, *times, *ratio, TARGETS[batch_size]))
                print(f"{what:28} {name:24} ours {1000 * statistics.median(mine):7.0f} ms a unit   ratio {spread}")
    keep(arguments.out, records, arguments.threads)
    sizes = []
    for _ in range(6):
        ours(network, units, TOGETHER, "everywhere", steps=6)
        sizes.append(resident())
    ours(network, units, TOGETHER, "everywhere", steps=60)
    grown = ", ".join(f"{size:.0f}" for size in sizes)
    print(f"memory after 8, 16 .. 48 units: {grown} MiB; ten times the steps: {resident():.0f}")


if __name__ == "__main__":
    main()
