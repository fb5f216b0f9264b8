"""A whole dissection beside what it could cost: reading the same pictures and one bare forward pass.

    OMP_NUM_THREADS=1 python benchmarks/dissect.py --images 1000
    OMP_NUM_THREADS=1 python benchmarks/dissect.py --images 1000 --netdissect-lite DIR    # a clone of its repository

AlexNet with random weights on generated photographs of 224 pixels in Broden's format. The two sides run one after the
other, each in a process of its own, so that their peak memory can be distinguished. `whole` is the stage as the command
line runs it, tables and charts included; `bare` reads the pictures (not the labels) and runs the network.
"""

import argparse
import csv
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import netdissect_lite
import numpy as np
import torch
import torchvision
from omegaconf import OmegaConf
from PIL import Image
from record import Record, keep

from deepinside.data.broden.reader import Broden
from deepinside.dissection.layers import survey_layers
from deepinside.dissection.probe_set import Reader, mixed
from deepinside.dissection.quantile import retained
from deepinside.network import Network, Preprocessing
from deepinside.probe import activations
from deepinside.stages import dissect

CONV = [f"features.{index}" for index in (1, 4, 7, 9, 11)]  # after their ReLUs
LAYERS = {"conv5": CONV[-1:], "conv1-conv5": CONV}
TARGETS = {"conv5": 1.5, "conv1-conv5": 3.0}
SIDE, BATCH = 224, 64
CATEGORIES = {"color": 11, "object": 60, "part": 30, "scene": 20}
DEFAULTS = Path(__file__).resolve().parents[1] / "conf" / "dissect" / "default.yaml"


def alexnet() -> Network:
    torch.manual_seed(0)
    return Network(torchvision.models.alexnet(weights=None), Preprocessing(), list(map(str, range(1000))), "alexnet")


def clouds(random, side, cells):
    coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def patches(random, first, count, shown, side):
    # A few labels of a category in smooth patches, nothing in between.
    ids = np.array([0, *random.choice(np.arange(first, first + count), shown, replace=False)])
    return ids[clouds(random, side, 6)[..., 0].astype(int) * len(ids) // 256]


def encoded(path, labels):
    pixels = np.zeros((*labels.shape, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = labels % 256, labels // 256
    Image.fromarray(pixels).save(path)


def draw(root: Path, images: int, side: int = SIDE, categories: dict[str, int] = CATEGORIES) -> None:
    random, rows, half = np.random.default_rng(0), [], side // 2
    firsts = dict(zip(categories, np.cumsum([1, *categories.values()]).tolist(), strict=False))
    (root / "images").mkdir(parents=True)
    for number in range(images):
        fine = clouds(random, side, side // 4) // 2 + clouds(random, side, 8) // 2
        Image.fromarray(fine).save(root / "images" / f"{number}.jpg", quality=90)
        cells = []
        for name, shown in (("color", 5), ("object", 3), ("part", 3)):
            cells.append(f"{number}_{name}.png" if number % 2 or name == "color" else "")
            if cells[-1]:
                encoded(root / "images" / cells[-1], patches(random, firsts[name], categories[name], shown, half))
        scene = str(firsts["scene"] + number % categories["scene"])
        rows.append((f"{number}.jpg", "train", side, side, half, half, *cells, scene))
    tables = {
        "index": [("image", "split", "ih", "iw", "sh", "sw", *categories), *rows],
        "category": [("name", "first", "last", "count", "frequency"), *((c, 1, 1, 1, 1) for c in categories)],
        "label": [("number", "name", "category", "frequency", "coverage", "syns")],
    }
    for name, count in categories.items():
        numbers = range(firsts[name], firsts[name] + count)
        tables["label"] += [(n, f"{name} {n}", f"{name}(9)", 9, 1.0, "") for n in numbers]
        own = [(code, n, f"{name} {n}", 9, 1.0) for code, n in enumerate(numbers, 1)]
        tables[f"c_{name}"] = [("code", "number", "name", "frequency", "coverage"), *own]
    for name, lines in tables.items():
        with (root / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(lines)


def bare(root: Path, layers: list[str], full: bool) -> None:
    broden, network = Broden.open(root), alexnet()
    batches = mixed(len(broden), BATCH)
    with Reader(broden.image, batches, 1) as reader, torch.no_grad():
        for index in range(len(batches)):
            images = torch.stack(reader.batch(index)).float() / 255
            _ = network(images) if full else activations(network, images, layers)


def whole(root: Path, layers: list[str], **options) -> None:
    dissect.open_network = lambda *_: alexnet()
    chosen = OmegaConf.merge(OmegaConf.load(DEFAULTS), {"layers": layers, "cards": 0, "atlas": 0}, options)
    machine = {"device": "cpu", "workers": 1, "threads": torch.get_num_threads()}
    cfg = {"dissect": chosen, "concepts": {"root": str(root), "limit": None}, "machine": machine, "seed": 0}
    with tempfile.TemporaryDirectory() as out:
        dissect.run(OmegaConf.create(cfg), {"concepts": root, "network": root}, Path(out))


def lite(root: Path, layers: list[str], code: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        netdissect_lite.dissect(code, root, alexnet().module, layers[0], Path(out))


def _measured(queue, threads, work, args, options):
    torch.set_num_threads(threads)
    wall, cpu = time.perf_counter(), time.process_time()
    work(*args, **options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    queue.put((time.perf_counter() - wall, time.process_time() - cpu, peak))


def measured(threads, work, *args, **options):
    # Wall seconds, processor seconds and peak MiB of some work in a fresh process, imports left out.
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=_measured, args=(queue, threads, work, args, options))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__} failed, see above")
    return queue.get()


def arithmetic(layers: list[str], images: int) -> float:
    # MiB that the largest values of all units take, 4 bytes each.
    found = survey_layers(alexnet(), layers, [(SIDE, SIDE)])
    values = sum(x.units * retained(images * x.maps[SIDE, SIDE][0] * x.maps[SIDE, SIDE][1], 0.005) for x in found)
    return 4 * values / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layers", choices=LAYERS, nargs="*", default=list(LAYERS))
    parser.add_argument("--netdissect-lite", type=Path, help="a clone of its repository: its time beside ours")
    parser.add_argument("--out", type=Path, help="the table of all benchmarks, whose rows of this one are replaced")
    options = parser.parse_args()
    print(
        f"{options.images} images, {options.threads} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}"
    )
    ways = {
        "whole, one pass, no permutations": {"permutations": 0},
        "whole, one pass, 19 permutations": {},
        "whole, two passes, no permutations": {"permutations": 0, "memory_gb": 0},
    }
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "broden"
        draw(root, options.images)
        print("| layers | what | s | CPU s | wall over bare | CPU over bare | target | peak MiB |")
        print("|---|---|---|---|---|---|---|---|")
        for name in options.layers:
            layers = LAYERS[name]
            works = {"bare: read, whole network": (bare, True), "bare: read, up to the layer": (bare, False)}
            rows = {key: [] for key in (*works, *ways)}
            for _ in range(options.rounds):
                for key, (work, full) in works.items():
                    rows[key].append(measured(options.threads, work, root, layers, full))
                for key, setting in ways.items():
                    rows[key].append(measured(options.threads, whole, root, layers, **setting))
                if options.netdissect_lite and len(layers) == 1:
                    found = measured(options.threads, lite, root, layers, options.netdissect_lite.resolve())
                    rows.setdefault("NetDissect-Lite, without its report", []).append(found)
                shown(name, rows, set(ways))
            records += recorded(name, rows, ways)
            largest = arithmetic(layers, options.images)
            each = 1024 * largest / options.images
            print(f"| {name} | largest values by arithmetic: {largest:.1f} MiB, {each:.2f} kB an image |||||||")
    keep(options.out, records, options.threads)


def recorded(name, rows, ways):
    # The whole beside the bare pass, and NetDissect-Lite beside the whole.
    found = []
    bare_, *_ = rows.values()
    plain = next(rows[key] for key in ways)
    lite_ = [key for key in rows if key.startswith("NetDissect")]
    pairs = [(key, "reading and one bare pass", rows[key], bare_, f"at most {TARGETS[name]:g}") for key in ways]
    pairs += [("whole, one pass, no permutations", key, plain, rows[key], "at least 4") for key in lite_]
    for case, beside, ours, theirs, target in pairs:
        over = target.startswith("at most")
        ratios = [a[0] / b[0] if over else b[0] / a[0] for a, b in zip(ours, theirs, strict=True)]
        times = (statistics.median(one[0] for one in side) for side in (ours, theirs))
        spread = statistics.median(ratios), min(ratios), max(ratios)
        asked = "" if "two passes" in case else target
        found.append(Record("dissection", f"{name}: {case}", beside, *times, "s", *spread, asked))
    return found


def shown(name, rows, ways):
    first = next(iter(rows.values()))
    for key, found in rows.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*found, strict=True))
        over, cpu_over = (statistics.median(a[i] / b[i] for a, b in zip(found, first, strict=True)) for i in (0, 1))
        target = TARGETS[name] if key in ways else ""
        line = f"| {name} | {key} | {wall:.1f} | {cpu:.1f} | {over:.2f} | {cpu_over:.2f} | {target} | {peak:.0f} |"
        print(line, flush=True)


if __name__ == "__main__":
    main()
