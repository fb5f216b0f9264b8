"""How memory and time grow with the number of parameters and the side of the input.

    OMP_NUM_THREADS=1 python benchmarks/size.py --table benchmarks/size.csv --plot benchmarks/size.png

The paper's ConvNet with random weights, without fully connected layers; its widths are scaled to a number of
parameters. Of this number and the side of the input one varies and the other stays at BASE. Saliency is of IMAGES
images, maximisation and inversion are STEPS steps of one, dissection is the stage as the command line runs it. Every
point is a process of its own, forked from one that has imported everything: time is its processor time, memory its
peak above where it began. On CUDA (`--device cuda`) time is that of the wall, and memory what torch allocated at
most. A point that fails, as for want of memory, is written with its reason, and the others go on. An exponent is the
slope of a straight line through the logarithms of the larger half of the points of a method.
"""

import argparse
import csv
import math
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from queue import Empty

import dissect as pictures_of
import matplotlib as mpl
import numpy as np
import torch
from omegaconf import OmegaConf
from record import machine
from torch import nn

from deepinside.defaults import defaults
from deepinside.methods.activation_maximization import activation_maximization
from deepinside.methods.inversion import inversion
from deepinside.methods.saliency import saliency
from deepinside.models.convnet import ConvNet, feature_sides
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch, Boxes
from deepinside.stages import dissect
from deepinside.statistics import exponent
from deepinside.study import Pictures

mpl.use("agg")
WIDTHS, CLASSES = (64, 256, 256, 256, 256), 10  # of the paper's ConvNet
PARAMETERS = (100_000, 1_000_000, 10_000_000, 100_000_000, 300_000_000)
SIDES = (64, 128, 256, 512)
BASE = {"parameters": 1_000_000, "side": 64}
IMAGES, STEPS, DISSECTED = 4, 5, 32
FEW = {"steps": STEPS, "octaves": None}
COLUMNS = ("method", "grows_in", "parameters", "side", "device", "seconds", "peak_mib", "failed")
MARKERS = {"saliency": "o", "maximisation": "s", "inversion": "^", "dissection": "D"}


def widths(parameters):
    """Widths of five convolutions, in the paper's proportions, with about that many parameters."""
    low, high = 0.01, 100.0
    for _ in range(40):
        factor = math.sqrt(low * high)
        found = tuple(max(2, round(factor * width)) for width in WIDTHS)
        low, high = (factor, high) if count(found) < parameters else (low, factor)
    return found


def count(channels):
    kernels = (11, 5, 3, 3, 3)
    pairs = zip((3, *channels), channels, kernels, strict=False)
    return sum(k * k * a * b + 2 * b for a, b, k in pairs) + (channels[-1] + 1) * CLASSES


def network(parameters, side, device):
    torch.manual_seed(0)
    module = ConvNet(CLASSES, widths=widths(parameters), hidden=(), normalisation="batch", input=side, stride=2)
    module.flatten = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())  # as many parameters at every side
    module.fc8 = nn.Linear(module.fc8.in_features // (feature_sides(side, 11, 2)["pool5"] ** 2), CLASSES)
    settings = Preprocessing(input=side, resize=side)
    return Network(module, settings, [str(number) for number in range(CLASSES)], "size").to(device)


def batch(side, images):
    pixels = torch.rand(images, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Batch(pixels, tuple(map(str, range(images))), torch.zeros(images, dtype=torch.long))


def one_picture(side):
    image = batch(side, 1).images[0]
    return Pictures(("0",), (0,), (Boxes(np.empty((0, 4))),), lambda _: image)


def settings(function, method, **changes):
    known = function.__annotations__
    return {key: value for key, value in defaults("method", method, changes).items() if key in known}


def dissected(made, side, folder, device):
    dissect.open_network = lambda *_: made
    chosen = OmegaConf.create(defaults("dissect", "default", {"layers": ["relu5"], "cards": 0, "permutations": 0}))
    cfg = {
        "dissect": OmegaConf.merge(chosen, {"input": side, "atlas": 0}),
        "concepts": {"root": str(folder / "broden"), "limit": None},
        **{"machine": {"device": device, "workers": 0, "threads": 1}, "seed": 0},
    }
    with tempfile.TemporaryDirectory() as out:
        dissect.run(OmegaConf.create(cfg), dict.fromkeys(("concepts", "network"), folder), Path(out))


def work(method, parameters, side, folder, device, queue):
    try:
        made = network(parameters, side, device)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        clock = time.perf_counter if device == "cuda" else time.process_time
        start = clock()
        if method == "saliency":
            saliency(made, batch(side, IMAGES))
        elif method == "maximisation":
            activation_maximization(
                made, batch(side, 1), **settings(activation_maximization, "activation_maximization", **FEW)
            )
        elif method == "inversion":
            inversion(made, one_picture(side), **settings(inversion, "inversion", layers=["relu5"], images=1, **FEW))
        else:
            dissected(made, side, folder, device)
        if device == "cuda":
            torch.cuda.synchronize()
            peak = torch.cuda.max_memory_allocated() / 2**20
        else:
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
        queue.put((clock() - start, peak, ""))
    except (RuntimeError, MemoryError, ValueError) as error:
        queue.put((math.nan, math.nan, f"{type(error).__name__}: {error}".splitlines()[0][:200]))


def measured(method, parameters, side, folder, device):
    context = multiprocessing.get_context("spawn" if device == "cuda" else "fork")
    queue = context.Queue()
    process = context.Process(target=work, args=(method, parameters, side, folder, device, queue))
    process.start()
    while True:
        try:
            found = queue.get(timeout=1)
            break
        except Empty:  # nothing yet
            if not process.is_alive():
                found = (math.nan, math.nan, f"the process ended with {process.exitcode}: too little memory?")
                break
    process.join()
    return found


def draw(rows, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex="col")
    for column, size in enumerate(("parameters", "side")):
        for axis, what in zip(axes[:, column], ("seconds", "peak_mib"), strict=True):
            for method, marker in MARKERS.items():
                own = [row for row in rows if row["method"] == method and row["grows_in"] == size]
                x, y = [row[size] for row in own], [row[what] for row in own]
                axis.loglog(x, y, marker=marker, label=f"{method}, exponent {exponent(x, y):.2f}")
            axis.set_ylabel({"seconds": "seconds", "peak_mib": "peak memory, MiB"}[what])
            axis.legend(frameon=False, fontsize=7)
            axis.grid(alpha=0.3)
        axes[1, column].set_xlabel({"parameters": "parameters", "side": "side of the input, pixels"}[size])
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="csv file to write")
    parser.add_argument("--plot", type=Path, help="image to write")
    parser.add_argument("--parameters", type=int, nargs="+", default=PARAMETERS)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--methods", nargs="+", choices=MARKERS, default=list(MARKERS))
    parser.add_argument("--images", type=int, default=DISSECTED, help="of the dissection")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    points = [("parameters", number, BASE["side"]) for number in options.parameters]
    points += [("side", BASE["parameters"], side) for side in options.sides]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        pictures_of.draw(Path(folder) / "broden", options.images, 112, {"color": 5, "object": 8, "part": 3, "scene": 4})
        for grows, parameters, side in points:
            for method in options.methods:
                seconds, peak, failed = measured(method, parameters, side, Path(folder), options.device)
                cells = (method, grows, count(widths(parameters)), side, options.device, seconds, peak, failed)
                rows.append(dict(zip(COLUMNS, cells, strict=True)))
                print(*cells, flush=True)
                with options.table.open("w", newline="", encoding="utf-8") as file:  # after every point
                    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
    for method in options.methods:
        for size in ("parameters", "side"):
            own = [row for row in rows if row["method"] == method and row["grows_in"] == size]
            slopes = [exponent([row[size] for row in own], [row[what] for row in own]) for what in COLUMNS[5:7]]
            print(f"{method} in {size}: time {slopes[0]:.2f}, memory {slopes[1]:.2f}")
    print(machine(1))
    if options.plot:
        draw(rows, options.plot)


if __name__ == "__main__":
    main()
