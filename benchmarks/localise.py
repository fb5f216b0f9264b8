"""Localisation: one cut beside OpenCV's grabCut, colour models beside scikit-learn's, stored maps, and 50,000 images.

    OMP_NUM_THREADS=1 python benchmarks/localise.py --photographs 24 --out benchmarks/results.csv

grabCut is compared where cv2 can be imported (`pip install --target DIR opencv-python-headless`, PYTHONPATH=DIR).
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from record import Record, keep
from skimage import data, transform
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from deepinside.data.index import Entry
from deepinside.localisation import color_model
from deepinside.localisation.crops import viewed
from deepinside.localisation.localiser import locate, worker_pool
from deepinside.localisation.maps import scene
from deepinside.localisation.segment import seeds, segment
from deepinside.localisation.settings import Settings
from deepinside.methods.grad_cam import spatial_layer
from deepinside.models.pretrained import squeezenet
from deepinside.records import Boxes

SETTINGS = {
    "simonyan2013": Settings(),
    "best": Settings(
        map={"saliency": 0.3, "grad_cam": 0.7}, smoothing=0.04, centre=0.35, segmentation="threshold", threshold=0.15
    ),
}
PHOTOGRAPHS = ("chelsea", "coffee", "astronaut", "rocket")
SQUEEZENET = {"mean": (104.0, 117.0, 123.0), "std": (1.0, 1.0, 1.0), "input": 227, "resize": 256, "bgr": True}
CLASSES, IMAGES, CORES = 6, 50_000, (1, 16, 96)
CUTS = {224: "at most 2.5", 112: "at most 1"}


def photograph(name, side):
    image = getattr(data, name)()[..., :3]
    factor = side / min(image.shape[:2])
    return transform.resize(image, tuple(round(n * factor) for n in image.shape[:2]), anti_aliasing=True)


def photographed(name, side, grid, classes=CLASSES):
    # A photograph and maps like a network's: many small peaks about a place, another for every class.
    image = photograph(name, side).astype(np.float32)
    random = np.random.default_rng(len(name))
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] / np.array(image.shape[:2])[:, None, None]
    places = random.uniform(0.35, 0.65, (classes, 2))
    bumps = np.stack([np.exp(-((y - v) ** 2 + (x - u) ** 2) / 0.06) for v, u in places])
    maps = (bumps * random.exponential(size=bumps.shape)).astype(np.float32)
    canvas = image.transpose(2, 0, 1).copy()
    every = {"saliency": maps, "grad_cam": bumps.astype(np.float32)}
    return scene(every, np.ones(image.shape[:2], bool), canvas, grid)


def median(work, repeats=7):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def cuts():
    try:
        import cv2

        cv2.setNumThreads(1)
    except ImportError:
        cv2 = None
        print("cv2 is not here: grabCut left out")
    print("\n| one cut with its colour models | ms | grabCut, one iteration, ms | ratio |\n|---|---|---|---|")
    records = []
    for side in (224, 112):
        ours, theirs = [], []
        for name in PHOTOGRAPHS:
            shown = photographed(name, 224, side, 1)
            ours.append(median(lambda shown=shown, side=side: segment(shown, Settings(side=side))))
            if cv2:
                theirs.append(grabcut(cv2, photographed(name, 224, 224, 1)))
        other, ratio = (f"{1000 * np.mean(theirs):.0f}", f"{np.mean(ours) / np.mean(theirs):.2f}") if cv2 else ("", "")
        if cv2:
            each = [mine / their for mine, their in zip(ours, theirs, strict=True)]
            times = 1000 * np.mean(ours), 1000 * np.mean(theirs), "ms"
            spread = np.mean(ours) / np.mean(theirs), min(each), max(each)
            what = f"one cut with its colour models, {side} px"
            records.append(Record("localisation", what, "grabCut, one iteration, 224 px", *times, *spread, CUTS[side]))
        print(f"| {side} px (grabCut at 224 px) | {1000 * np.mean(ours):.0f} | {other} | {ratio} |")
    return records


def grabcut(cv2, shown):
    front, back = seeds(shown.maps["saliency"][0], shown.covered, 0.95, 0.30)
    image = np.ascontiguousarray((255 * shown.picture[..., ::-1]).astype(np.uint8))
    start = np.full(front.shape, cv2.GC_PR_BGD, np.uint8)
    start[front], start[back] = cv2.GC_FGD, cv2.GC_BGD

    def work():
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(image, start.copy(), None, *models, 1, cv2.GC_INIT_WITH_MASK)

    return median(work)


def mixtures():
    # The colour models of all classes of a photograph, fitted, and evaluated at every pixel.
    print(f"\n| colour models of {CLASSES} classes | ms | scikit-learn, ms | ratio |\n|---|---|---|---|")
    records = []
    for side in (224, 112):
        ours, theirs = [], []
        for name in PHOTOGRAPHS:
            shown = photographed(name, 224, side)
            sides = np.stack(
                [part for map_ in shown.maps["saliency"] for part in seeds(map_, shown.covered, 0.95, 0.30)]
            )
            ours.append(median(partial(color_model.unaries, shown.picture, sides), 3))
            theirs.append(median(partial(scikit_learns, shown.picture, sides), 3))
        each = [their / mine for mine, their in zip(ours, theirs, strict=True)]
        times = 1000 * np.mean(ours), 1000 * np.mean(theirs), "ms"
        what = f"colour models of {CLASSES} classes, {side} px"
        spread = float(np.median(each)), min(each), max(each)
        records.append(Record("localisation", what, "scikit-learn's GaussianMixture", *times, *spread, "at least 4"))
        print(f"| {side} px | {times[0]:.0f} | {times[1]:.0f} | {spread[0]:.1f} |")
    return records


def scikit_learns(picture, sides):
    pixels = picture.reshape(-1, 3)
    for side in sides:
        colours = picture[side]
        if len(colours) > 2000:
            colours = colours[np.random.default_rng(0).choice(len(colours), 2000, replace=False)]
        model = GaussianMixture(5, reg_covar=1e-4, max_iter=20, init_params="random_from_data", random_state=0)
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            model.fit(colours)
        model.score_samples(pixels)


def shared():
    shown = {count: photographed(PHOTOGRAPHS[0], 256, 112, count) for count in (1, CLASSES)}
    one, six = (median(lambda one=one: segment(one, Settings())) for one in shown.values())
    print(
        f"\none class {1000 * one:.0f} ms, {CLASSES} classes of a photograph {1000 * six:.0f} ms: {six / one:.1f} times"
    )


def workers(count, records):
    stored = [photographed(PHOTOGRAPHS[i % len(PHOTOGRAPHS)], 256, 112) for i in range(count)]
    entry = Entry("a", "a.jpg", "val", 0, Boxes(np.array([[60, 60, 200, 200]])), 256, 256)
    print("\n| maps stored, network idle | 1 worker, images/s | 2 workers, images/s | ratio |\n|---|---|---|---|")
    rates = {}
    for name, settings in SETTINGS.items():
        found = []
        for processes in (1, 2):
            work = partial(locate, classes=range(CLASSES), entry=entry, settings=settings, top=CLASSES - 1)
            with worker_pool(processes) as pool:
                list(pool.map(work, stored[:4]))  # until all have started
                started = time.perf_counter()
                list(pool.map(work, stored))
                found.append(count / (time.perf_counter() - started))
        rates[name] = found[0]
        ratio = found[1] / found[0]
        case = f"two workers on stored maps, {name}"
        target = "at least 1.8" if name == "simonyan2013" else ""
        records.append(
            Record("localisation", case, "one worker", 1 / found[1], 1 / found[0], "s", ratio, ratio, ratio, target)
        )
        print(f"| {name} | {found[0]:.2f} | {found[1]:.2f} | {found[1] / found[0]:.2f} |")
    return rates


def network_rate():
    # Photographs a second on one core: ten crops forward, six classes back.
    torch.set_num_threads(1)
    net = squeezenet(weights="random", **SQUEEZENET)
    image = torch.from_numpy(data.chelsea().copy()).permute(2, 0, 1)
    layer = spatial_layer(net, image[None].float() / 255)
    return 1 / median(lambda: viewed(net, image, classes=list(range(CLASSES)), layer=layer), 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=int, default=24)
    parser.add_argument("--out", type=Path, help="the table of all benchmarks, whose rows of this one are replaced")
    arguments = parser.parse_args()
    records = cuts() + mixtures()
    shared()
    rates = workers(arguments.photographs, records)
    keep(arguments.out, records)
    seen = network_rate()
    print(f"\nSqueezeNet, ten crops, {CLASSES} classes: {seen:.2f} images/s on one core")
    print(f"\n| {IMAGES:,} images, hours | {' | '.join(f'{cores} cores' for cores in CORES)} |\n|---|---|---|---|")
    for name, rate in rates.items():
        hours = IMAGES * (1 / seen + 1 / rate) / 3600
        print(f"| {name} | {' | '.join(f'{hours / cores:.2f}' for cores in CORES)} |")
    print("projected: work shared evenly by processes of one core each, nothing lost to sharing")


if __name__ == "__main__":
    main()
