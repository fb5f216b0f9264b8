"""Whole stages beside their network alone, reading beside torchvision, and a training step beside a bare loop.

    OMP_NUM_THREADS=1 python benchmarks/stages.py --out benchmarks/results.csv           # about 15 minutes on 2 cores
    OMP_NUM_THREADS=1 python benchmarks/stages.py --only reading training --rounds 9

AlexNet with random weights on generated JPEGs of 500x375 pixels, 224x224 for dissect. A stage runs as the command line
runs it, pictures and tables included; its floor are the passes of the network that it cannot do without, on tensors in
memory: one forward pass (dissect, 64 at once); ten crops of a picture and one backward pass for each class (localise:
five and the true one); the same for one class, by the network and by its control with random weights (visualise, with
boxes). Both sides take turns in one process; a ratio is of wall times within a round. Training is of the miniature's
ConvNet.
"""

import argparse
import os
import tarfile
import tempfile
import time
from pathlib import Path

import dissect as probe
import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning import Callback
from record import Record, keep
from torch.nn.functional import cross_entropy
from torchvision import transforms
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2

from deepinside import views
from deepinside.data import shards
from deepinside.data.image import read_image
from deepinside.data.index import Entry, Index
from deepinside.defaults import defaults
from deepinside.models.classifier import Classifier
from deepinside.models.convnet import convnet
from deepinside.models.training import fit
from deepinside.probe.randomise import randomised
from deepinside.records import Boxes
from deepinside.stages import dissect, localise, visualise

CONF = Path(__file__).resolve().parents[1] / "conf"
WIDTH, HEIGHT, CLASSES = 500, 375, 1000
TARGETS = {  # of so many images
    "visualise": {32: "at most 1.25"},
    "localise": {12: "at most 1.5", 200: "at most 1.15"},
    "dissect": {256: "at most 1.6", 1000: "at most 1.1"},
}
MANY = 100  # photographs, from which on localise runs one round
NAMES = tuple(map(str, range(CLASSES)))


def photographs(root: Path, count: int) -> Index:
    random, entries = np.random.default_rng(0), []
    box = Boxes(np.array([[100, 80, 400, 300]]))
    for number in range(count):
        pixels = probe.clouds(random, WIDTH, 120) // 2 + probe.clouds(random, WIDTH, 9) // 2
        Image.fromarray(pixels[:HEIGHT]).save(root / f"{number:05d}.jpg", quality=90)
        split = "val" if number % 4 == 0 else "train"
        entries.append(Entry(f"{number:05d}", f"{number:05d}.jpg", split, number % CLASSES, box, WIDTH, HEIGHT))
    return Index(root, NAMES, NAMES, tuple(entries))


def chosen(group, preset, **changes):
    return OmegaConf.create(defaults(group, preset, changes))


def run(stage, network, index, root, options, **groups):
    stage.open_network = lambda *_: network
    stage.open_index = lambda *_: index
    machine = {"device": "cpu", "workers": options.workers, "threads": options.threads}
    data = {"root": str(index.root), "split": "all", "limit": None}
    cfg = {"machine": machine, "seed": 0, "data": data, "concepts": {"root": str(root), "limit": None}} | groups
    with tempfile.TemporaryDirectory() as out:
        stage.run(OmegaConf.create(cfg), dict.fromkeys(("prepare", "network", "concepts"), root), Path(out))


def wall(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def turns(rounds, ours, theirs):
    # Seconds of both sides, round by round; who is first alternates.
    found = []
    for number in range(rounds):
        sides = [(0, ours), (1, theirs)] if number % 2 else [(1, theirs), (0, ours)]
        found.append([seconds for _, seconds in sorted((place, wall(work)) for place, work in sides)])
    return np.array(found)


def record(case, beside, times, unit, scale, target):
    over = target.startswith("at most")
    ratios = times[:, 0] / times[:, 1] if over else times[:, 1] / times[:, 0]
    sides = np.median(times, axis=0) * scale
    one = Record("stages", case, beside, *sides, unit, np.median(ratios), ratios.min(), ratios.max(), target)
    print(
        f"| {case} | {beside} | {one.ours:.3g} {unit} | {one.theirs:.3g} {unit} | {one.ratio:.2f} "
        f"({one.lowest:.2f}..{one.highest:.2f}) | {target} | {one.met} |",
        flush=True,
    )
    return one


def crops(index, network):
    recipe = network.preprocessing
    for entry in index.entries:
        yield views.crops_of(index.picture(entry), recipe, "ten").pixels


def backward(network, images, classes):
    images = images.clone().requires_grad_()
    scores = network.module(network.normalise(images))  # plain autograd
    for number in range(1, classes + 1):
        torch.autograd.grad(scores[:, number].sum(), images, retain_graph=number < classes)


def stages(options, root):
    network = probe.alexnet()
    control = randomised(network, 0)
    most = max((count for name in options.only for count in TARGETS.get(name, ()) if name != "dissect"), default=0)
    (root / "photographs").mkdir()
    every = photographs(root / "photographs", min(most, options.images))
    saliency = {"_target_": "deepinside.methods.saliency.saliency", "rule": "gradient"}
    broden = chosen("dissect", "default", layers=probe.CONV[-1:], cards=0)

    def visualised(count):
        index, looks = every.limit(count), chosen("visualise", "default", measured=count)
        ready = list(crops(index, network))
        return (
            lambda: run(visualise, network, index, root, options, visualise=looks, method={"saliency": saliency}),
            lambda: [backward(side, images, 1) for images in ready for side in (network, control)],
        )

    def localised(count):
        index = every.limit(count)
        ready = list(crops(index, network))
        return (
            lambda: run(localise, network, index, root, options, localise=chosen("localise", "simonyan2013")),
            lambda: [backward(network, images, 6) for images in ready],
        )

    def dissected(count):
        folder = root / f"broden_{count}"
        if not folder.exists():
            probe.draw(folder, count)
        labelled = [read_image(path).float() / 255 for path in sorted((folder / "images").glob("*.jpg"))]

        def floor():
            with torch.no_grad():
                for start in range(0, len(labelled), probe.BATCH):
                    network(torch.stack(labelled[start : start + probe.BATCH]))

        return lambda: run(dissect, network, every, folder, options, dissect=broden), floor

    for name, sides in (("visualise", visualised), ("localise", localised), ("dissect", dissected)):
        for count, target in TARGETS[name].items() if name in options.only else ():
            count = min(count, options.images)
            times = turns(1 if count >= MANY and name == "localise" else options.rounds, *sides(count))
            case = f"{name}, {count} images"
            beside = "its network alone, on tensors in memory"
            yield record(case, beside, times, "ms an image", 1000 / count, target)


def reading(options, root, index):
    paths = [root / entry.file for entry in index.entries]
    recipe = probe.alexnet().preprocessing
    side, resize = recipe.input, recipe.resize
    new = v2.Compose([v2.Resize(resize), v2.CenterCrop(side), v2.ToDtype(torch.float32, scale=True)])
    old = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(side), transforms.ToTensor()])

    def theirs(path):
        return decode_image(read_file(str(path)), ImageReadMode.RGB)

    def through_pillow(path):
        with Image.open(path) as image:
            return old(image.convert("RGB"))

    def viewed(path):
        return views.crops_of(read_image(path), recipe, "centre").pixels

    with tarfile.open(root / "all.tar", "w") as archive:
        for path in paths:
            archive.add(path, path.name)
    packed = shards.index(root)
    cases = (
        ("a JPEG decoded", "torchvision.io", read_image, theirs),
        ("a JPEG as the network's input", "torchvision.io and v2", viewed, lambda path: new(theirs(path))),
        ("a JPEG as the network's input", "Pillow and transforms", viewed, through_pillow),
    )
    for case, beside, ours, other in cases:
        sides = [lambda work=work: [work(path) for path in paths] for work in (ours, other)]
        yield record(case, beside, turns(options.rounds, *sides), "ms an image", 1000 / len(paths), "at least 1")
    sides = [lambda one=one: [one.picture(entry) for entry in one.entries] for one in (packed, index)]
    times = turns(options.rounds, *sides)
    yield record(
        "a JPEG from a tar shard", "from a file of its own", times, "ms an image", 1000 / len(paths), "at most 1.1"
    )


class Clock(Callback):
    """Seconds of a whole epoch's steps but the first, loader included; the last epoch counts, when all is warm."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):  # ruff: ignore[unused-method-argument]
        if batch_idx == 0:
            self.started = time.perf_counter()
        self.seconds, self.steps = time.perf_counter() - self.started, batch_idx


def learner():
    torch.manual_seed(0)
    model = {key: value for key, value in composed().items() if key not in {"_target_", "name", "weights", "fit"}}
    return convnet(classes=NAMES, **model, weights=None)


def composed():
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("config", ["model=convnet_mini"]).model)


def training(options, index):
    settings = OmegaConf.to_container(OmegaConf.load(CONF / "train" / "default.yaml"))
    settings = {key: settings[key] for key in ("optimiser", "augmentation", "batch_size", "channels_last")}
    settings["batch_size"] = min(settings["batch_size"], options.images // 4)
    train, val = index.split("train"), index.split("val")

    def ours():
        clock, network = Clock(), learner()
        with tempfile.TemporaryDirectory() as out:
            fit(
                *(network, train, val), out=Path(out), seed=0, epochs=2, device="cpu", workers=options.workers,
                trainer={"devices": 1, "precision": "32-true"}, callbacks=[clock], **settings,
            )  # fmt: skip
        return clock.seconds / clock.steps

    def bare():
        network = learner()
        classifier = Classifier(network, **settings["optimiser"])
        for parameter in network.parameters():
            parameter.requires_grad_()
        network.train().to(memory_format=torch.channels_last)
        decay = {"lr": 1e-3, "weight_decay": classifier.weight_decay}
        optimiser = torch.optim.AdamW(network.parameters(), **decay)
        side = network.preprocessing.input
        images = torch.rand(settings["batch_size"], 3, side, side).to(memory_format=torch.channels_last)
        labels, count = torch.arange(settings["batch_size"]), max(2, len(train) // settings["batch_size"])
        for step in range(2 * count):
            if step == count + 1:
                started = time.perf_counter()
            optimiser.zero_grad()
            cross_entropy(network(images), labels).backward()
            optimiser.step()
        return (time.perf_counter() - started) / (count - 1)

    times = np.array([[ours(), bare()] for _ in range(options.rounds)])
    beside = "forward, backward and optimiser on tensors in memory"
    yield record("a training step", beside, times, "ms a step", 1000, "at most 1.1")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="of a stage, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parts = [*TARGETS, "reading", "training"]
    parser.add_argument("--only", choices=parts, nargs="*", default=parts)
    parser.add_argument("--out", type=Path, help="the table of all benchmarks, whose rows of this one are replaced")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads, {options.workers} workers, load {os.getloadavg()[0]:.1f}")
    print("| what | beside | ours | theirs | ratio | target | met |\n|---|---|---|---|---|---|---|")
    found = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        if set(TARGETS) & set(options.only):
            found += stages(options, root)
        if "reading" in options.only:
            (root / "reading").mkdir()
            found += reading(options, root / "reading", photographs(root / "reading", min(64, options.images)))
        if "training" in options.only:
            (root / "train").mkdir()
            found += training(options, photographs(root / "train", min(512, options.images)))
    keep(options.out, found, options.threads)


if __name__ == "__main__":
    main()
