"""How cost grows: time and memory of dissection, localisation and saliency over about two decades of every size.

    OMP_NUM_THREADS=1 python benchmarks/growth.py --table benchmarks/growth.csv --plot benchmarks/growth.png

A small random network (3x3 convolutions at 24x24 positions, each with its ReLU; mean; one linear layer) on generated
pictures of 48 pixels. One size varies, the others stay at BASE; units vary in one layer, for between two a convolution
grows with their square. Every point is a process of its own, forked from one that has imported everything: time is its
processor time, memory its peak above where it began. Dissection and localisation are the stages as the command line
runs them, without the drawn cases; cuts are made in the same process. `classes` are the concepts for dissection, the
network's scores for localisation, and maps per picture for saliency. An exponent is that of the larger half of the
sizes, their last decade.
"""

import argparse
import csv
import multiprocessing
import os
import resource
import tempfile
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path

import dissect as pictures_of
import numpy as np
import torch
from omegaconf import OmegaConf
from record import machine
from torch import nn

from deepinside.data.index import Entry, Index
from deepinside.dissection.quantile import retained
from deepinside.methods.saliency import saliency
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch, Boxes
from deepinside.stages import dissect, localise
from deepinside.statistics import exponent

CONF = Path(__file__).resolve().parents[1] / "conf"
SIDE, POSITIONS, BATCH = 48, 24 * 24, 16
BASE = {"images": 50, "units": 16, "layers": 2, "classes": 20}
SIZES = {
    "images": (10, 32, 100, 320, 1000),
    "units": (4, 13, 40, 130, 400),
    "layers": (1, 3, 10, 32, 100),
    "classes": (10, 32, 100, 320, 1000),
}
STEEP = 1.1  # an exponent above is called superlinear


def network(size):
    torch.manual_seed(0)
    steps = [nn.Conv2d(3, size["units"], 3, 2, 1), nn.ReLU()]
    for _ in range(size["layers"] - 1):
        steps += [nn.Conv2d(size["units"], size["units"], 3, 1, 1), nn.ReLU()]
    for step in steps[::2]:
        nn.init.kaiming_normal_(step.weight, nonlinearity="relu")  # a hundred layers neither fade nor grow
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size["units"], size["classes"])]
    names = [str(number) for number in range(size["classes"])]
    return Network(nn.Sequential(*steps, *head), Preprocessing(input=SIDE, resize=SIDE), names, "small")


def chosen(group, preset, **changes):
    return OmegaConf.merge(OmegaConf.load(CONF / group / f"{preset}.yaml"), changes)


class Inline:
    """Segments at once and in this process, so that its time and memory are counted."""

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


def dissected(size, folder, out):
    made = network(size)
    dissect.open_network = lambda *_: made
    layers = [str(2 * number + 1) for number in range(size["layers"])]
    cfg = {
        "dissect": chosen("dissect", "default", layers=layers, cards=0),
        "concepts": {"root": str(folder / f"broden{size['classes']}"), "limit": size["images"]},
        **{"machine": {"device": "cpu", "workers": 0, "threads": 1}, "seed": 0},
    }
    inputs = dict.fromkeys(("concepts", "network"), Path(cfg["concepts"]["root"]))
    dissect.run(OmegaConf.create(cfg), inputs, out)


def localised(size, folder, out):
    made = network(size)
    localise.open_network = lambda *_: made
    localise.open_index = lambda *_: index(folder, size)
    localise.worker_pool = lambda _workers: nullcontext(Inline())
    cfg = {
        "localise": chosen(
            "localise", "simonyan2013", crops="centre", top=1, pictures=0, batch_size=BATCH, side=SIDE // 2
        ),
        "data": {"root": str(folder), "split": "all", "limit": size["images"]},
        "machine": {"device": "cpu", "workers": 0, "threads": 1},
    }
    localise.run(OmegaConf.create(cfg), {"prepare": folder, "network": folder}, out)


def mapped(size, folder, _out):
    maps = size["classes"] if size["classes"] != BASE["classes"] else 1
    made, shown = network(size | {"classes": max(maps, BASE["classes"])}), index(folder, size)
    for start in range(0, len(shown), BATCH):
        entries = shown.entries[start : start + BATCH]
        images = torch.stack([shown.picture(entry) for entry in entries]).float() / 255
        batch = Batch(images, tuple(entry.image for entry in entries))
        saliency(made, batch, classes=torch.arange(maps).expand(len(entries), maps))


WORKS = {"dissect": dissected, "localise": localised, "saliency": mapped}


def index(folder, size):
    place = Path(f"broden{BASE['classes']}") / "images"
    box = Boxes(np.array([[8, 8, 40, 40]]))
    entries = [
        Entry(f"{number:05d}", f"{place}/{number}.jpg", "all", number % size["classes"], box, SIDE, SIDE)
        for number in range(size["images"])
    ]
    names = tuple(str(number) for number in range(size["classes"]))
    return Index(folder, names, names, tuple(entries))


def status(key):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def _measured(queue, work, size, folder):
    torch.set_num_threads(1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, spent = status("VmRSS"), resource.getrusage(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory() as out:
        WORKS[work](size, folder, Path(out))
    after = resource.getrusage(resource.RUSAGE_SELF)
    queue.put((after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime, status("VmHWM") - before))


def measured(work, size, folder):
    # Processor seconds, and peak MiB above the start, of some work in a process of its own.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deepinside.stages.dissect", "deepinside.stages.localise", "torchvision"])
    queue = context.SimpleQueue()
    process = context.Process(target=_measured, args=(queue, work, size, folder))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work} failed at {size}, see above")
    return queue.get()


def draw(folder, most):
    for classes in {BASE["classes"], *(size for size in SIZES["classes"] if size <= most)}:
        root = folder / f"broden{classes}"
        count = max(BASE["images"], *SIZES["images"]) if classes == BASE["classes"] else BASE["images"]
        pictures_of.draw(root, min(count, most), SIDE, {"color": 5, "object": classes, "part": 3, "scene": 4})


def plotted(path, rows):
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(SIZES), figsize=(14, 6.4), sharex="col", sharey="row", layout="constrained")
    for column, axis in enumerate(SIZES):
        for row, (key, unit) in enumerate((("seconds", "processor time in s"), ("mib", "peak memory in MiB"))):
            panel = axes[row, column]
            for work in WORKS:
                mine = [one for one in rows if one["work"] == work and one["axis"] == axis]
                sizes, values = [one["size"] for one in mine], [one[key] for one in mine]
                label = f"{work}: {exponent(sizes, np.maximum(values, 1e-3)):+.2f}"
                panel.loglog(sizes, np.maximum(values, 0.1 if key == "mib" else 1e-3), marker="o", label=label)
            panel.legend(title="exponent, last decade", fontsize=8, title_fontsize=8)
            panel.set_xlabel(axis if row else "")
            panel.set_ylabel("" if column else unit)
            panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def report(rows):
    print("| what | grows in | from | to | s | exponent | peak MiB | exponent |\n|---|---|---|---|---|---|---|---|")
    for work in WORKS:
        for axis in SIZES:
            mine = [one for one in rows if one["work"] == work and one["axis"] == axis]
            sizes = [one["size"] for one in mine]
            (seconds, rise), (mib, swell) = (
                ([one[key] for one in mine], exponent(sizes, [max(one[key], 1e-3) for one in mine]))
                for key in ("seconds", "mib")
            )
            steep = " superlinear" if rise > STEEP else ""
            print(
                f"| {work} | {axis} | {sizes[0]} | {sizes[-1]} "
                f"| {seconds[0]:.2f}..{seconds[-1]:.2f} | {rise:.2f}{steep} "
                f"| {mib[0]:.0f}..{mib[-1]:.0f} | {swell:.2f} |"
            )
    for work in WORKS:
        mine = [one for one in rows if one["work"] == work and one["axis"] == "images"][-3:]
        slope = (mine[-1]["mib"] - mine[0]["mib"]) * 1024 / max(1, mine[-1]["size"] - mine[0]["size"])
        print(f"{work}: {slope:.2f} kB of peak memory an image, over the last decade")
    most = SIZES["images"][-1]
    values = BASE["units"] * BASE["layers"] * retained(most * POSITIONS, 0.005)
    print(f"of which dissection's largest values, by arithmetic: {4 * values / 1024 / most:.2f} kB an image")


def table(path):
    if path is None or not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        one | {"size": int(one["size"])} | {key: float(one[key]) for key in ("seconds", "mib", "load")} for one in rows
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=1000, help="leave larger sizes out")
    parser.add_argument(
        "--axes", choices=SIZES, nargs="*", default=list(SIZES), help="only these; the table has the rest"
    )
    parser.add_argument("--works", choices=WORKS, nargs="*", default=list(WORKS), help="likewise")
    parser.add_argument("--table", type=Path, help="a csv of all points")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    print(f"{machine(1)}, torch {torch.__version__}")
    known = table(options.table)
    rows = [one for one in known if one["axis"] not in options.axes or one["work"] not in options.works]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw(folder, options.most)
        for work in options.works:
            for axis in options.axes:
                for size in (size for size in SIZES[axis] if size <= options.most):
                    at = {key: min(value, options.most) for key, value in BASE.items()} | {axis: size}
                    at |= {"layers": 1} if axis == "units" else {}
                    seconds, mib = measured(work, at, folder)
                    rows.append({"work": work, "axis": axis, "size": size, "seconds": seconds, "mib": mib})
                    rows[-1]["load"] = os.getloadavg()[0]
                    print(f"{work} {axis} {size}: {seconds:.2f} s, {mib:.1f} MiB", flush=True)
    rows.sort(key=lambda one: (list(WORKS).index(one["work"]), list(SIZES).index(one["axis"]), one["size"]))
    report(rows)
    if options.table:
        with options.table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in one.items()} for one in rows)
    if options.plot:
        plotted(options.plot, rows)


if __name__ == "__main__":
    main()
