"""Synthesised images of classes, units, channels and directions."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from deepinside.metrics import blank_share, colour_distance, fragments, high_frequency_share, size, total_variation
from deepinside.network import Network
from deepinside.plots.gallery import Gallery
from deepinside.plots.synthesis import grid, presets, traces
from deepinside.records import Batch, Images, Row
from deepinside.runtime.memory import explained
from deepinside.runtime.progress import track
from deepinside.statistics import mean_row
from deepinside.views import to_bytes
from deepinside.visualisation.judge import Judge, equal_norm, phase_noise, quarters

_PLAIN = "class_model"  # plain L2, which others are compared with
_ROWS = (
    "rank_one",
    "rank_one_of_noise",
    "high_frequency_share",
    "total_variation",
    "blank_share",
    "fragments",
    "colour_distance",
    "size",
)
_AMONG = 0.05  # share of the classes among the first of which a recognised one is
_UNITS = {"total_variation": "1/pixel", "fragments": "", "colour_distance": "CIELAB", "size": "grey levels"}


def draw_images(
    network: Network,
    classes: list[int],
    methods: Mapping[str, Any],
    material: Callable[[Any], dict[str, Any]],
    gallery: Gallery,
    out: Path,
    *,
    judge: Judge | None,
    colours: Callable[[], Float[Tensor, "m 3"] | None],
) -> list[Row]:
    """Synthesises an image of each class or unit by every method, with `synthesis.csv` and `synthesis.npz`.

    The result of a method is stored at once, so that an interrupted run continues with the next method.

    Args:
        network: to visualise.
        classes: their numbers.
        methods: name -> method that returns `Images`.
        material: function -> further arguments that it takes.
        gallery: to add to.
        out: the work folder.
        judge: classifies the images, and noise and the mean image beside them; None for none.
        colours: returns pixels of photographs to compare colours with; None if there are none.

    Returns:
        Rows for the table.
    """
    numbers: list[Row] = []
    frames: dict[str, pd.DataFrame] = {}
    arrays: dict[str, np.ndarray] = {}
    pictures: dict[str, np.ndarray] = {}
    unfinished = out / "parts" / "images"
    unfinished.mkdir(parents=True, exist_ok=True)
    batch = Batch(torch.zeros(len(classes), 3, 1, 1), tuple(map(str, classes)), torch.tensor(classes, dtype=torch.long))
    reference = colours() if methods else None
    for name, method in track(list(methods.items()), "pictures") if classes else ():
        finished = unfinished / f"{name}.pt"
        if not finished.exists():
            with explained(f"method {name}", lower(name, method.settings)):
                made = method(network, batch, **material(method.work))
            _store(made, finished)
        images = _stored(finished)
        frame = _measured(network, images, judge, reference)
        frames[name] = frame
        arrays[f"{name}.images"] = to_bytes(images.values)
        pictures[name] = images.values.permute(0, 2, 3, 1).numpy()
        arrays |= {f"{name}.{trace}": values.numpy() for trace, values in images.traces.items()}
        _draw(name, images, pictures[name], frame, method.settings, gallery)
        numbers += _numbers(name, frame)
    if frames:
        whole = pd.concat([frame.assign(method=name) for name, frame in frames.items()])
        whole.insert(0, "method", whole.pop("method"))
        whole.to_csv(out / "synthesis.csv", index=False, lineterminator="\n")
        np.savez(out / "synthesis.npz", **arrays)  # type: ignore[arg-type]
        _compare(frames, pictures, gallery)
    judged = judge is not None and any("judge_top1" in frame for frame in frames.values())
    return [*numbers, *_gains(frames), *(_judged_blank(network, judge, classes) if judged and judge else ())]


def lower(name: str, settings: Mapping[str, Any]) -> str:
    """The key to lower when memory is insufficient: optimisations and studies depend on their batch, so it is not
    halved.
    """
    return f"method.{name}.batch_size" if "batch_size" in settings else "visualise.classes or visualise.images"


def _gains(frames: Mapping[str, pd.DataFrame]) -> list[Row]:
    # How much more often the second network recognises a class than of the plain method, class by class.
    plain = frames.get(_PLAIN)
    rows = []
    for name, frame in frames.items():
        if name == _PLAIN or plain is None or "judge_top5" not in frame or "judge_top5" not in plain:
            continue
        for metric in ("judge_top1", "judge_top5"):
            gain = frame[metric].to_numpy(dtype=float) - plain[metric].to_numpy(dtype=float)
            rows.append(mean_row(f"{name}.{metric}_above_{_PLAIN}", gain, "share"))
    return rows


def _store(images: Images, file: Path) -> None:
    content = {"values": images.values, "traces": images.traces}
    texts = json.dumps({"titles": images.titles, "measured": {k: list(v) for k, v in images.measured.items()}})
    partial = file.with_suffix(".partial")
    torch.save(content | {"texts": texts}, partial)
    partial.rename(file)


def _stored(file: Path) -> Images:
    content = torch.load(file, weights_only=True)
    texts = json.loads(content["texts"])
    return Images(content["values"], tuple(texts["titles"]), content["traces"], texts["measured"])


def _measured(
    network: Network, images: Images, judge: Judge | None, reference: Float[Tensor, "m 3"] | None
) -> pd.DataFrame:
    frame = pd.DataFrame({"name": images.titles, **images.measured})
    frame["score"] = frame["score"].astype(float).round(4)
    if not frame["rank"].isna().any():
        frame["rank_one"] = (frame["rank"] == 1).astype(int)
    if "class" in frame and {"rank", "probability"} <= images.traces.keys():
        frame["first_top1"] = _first(images.traces["rank"] <= 1)
        frame["first_99_percent"] = _first(images.traces["probability"] > 0.99)
    frame["high_frequency_share"] = high_frequency_share(images.values).numpy().round(6)
    frame["total_variation"] = total_variation(images.values).numpy().round(6)
    frame["blank_share"] = blank_share(images.values, network.preprocessing.colour).numpy().round(6)
    frame["size"] = size(images.values, network.preprocessing.colour).numpy().round(4)
    frame["fragments"] = fragments(images.values, network.preprocessing.colour).numpy()
    if reference is not None:
        frame["colour_distance"] = [round(colour_distance(image, reference), 4) for image in images.values]
    named = "class" in frame and pd.api.types.is_integer_dtype(frame["class"])
    if named:
        frame["rank_one_of_noise"] = _ranked_first(network, images.values, frame["class"].tolist())
    if judge is not None and named:
        ranks, shares = judge(images.values, frame["class"].tolist())
        frame["judge_rank"], frame["judge_probability"] = ranks, np.round(shares, 6)
        frame["judge_top1"], frame["judge_top5"] = (ranks <= 1).astype(int), (ranks <= 5).astype(int)
        frame = frame.assign(**_recognised(judge, network, images.values, frame["class"].tolist()))
    return frame


def _ranked_first(network: Network, pictures: Float[Tensor, "n 3 h w"], classes: list[int]) -> np.ndarray:
    # Whether the network itself ranks the class first in noise of the image's spectrum: what the ascent alone adds.
    noise = phase_noise(pictures, network.preprocessing.colour.cpu())
    scores = torch.cat([network.scores(part.to(network.device)).cpu() for part in noise.split(32)])
    return (scores.argmax(dim=1) == torch.tensor(classes)).long().numpy()


def _recognised(
    judge: Judge, network: Network, pictures: Float[Tensor, "n 3 h w"], classes: list[int]
) -> dict[str, np.ndarray]:
    # What the second network makes of the images at one strength, of their quarters, and of noise of the same spectra.
    colour = network.preprocessing.colour.cpu()
    found = {}
    noise = phase_noise(pictures, colour)
    for word, shown in (("", equal_norm(pictures, colour)), ("_of_noise", equal_norm(noise, colour))):
        places = [judge.place(part, classes) for part in quarters(shown)]
        found[f"judge_place{word}"] = judge.place(shown, classes).round(6)
        found[f"quarters{word}"] = np.sum([place < _AMONG for place in places], axis=0)
    return found


def _first(reached: Bool[Tensor, "steps n"]) -> list[int | None]:
    # The first step at which each image reaches it; Nguyen et al. 2015 record both milestones.
    steps, ever = reached.int().argmax(dim=0).tolist(), reached.any(dim=0).tolist()
    return [step if there else None for step, there in zip(steps, ever, strict=True)]


def _judged_blank(network: Network, judge: Judge, classes: list[int]) -> list[Row]:
    # How often the second network sees a class where there is nothing to see: in Gaussian noise and in the mean colour.
    side, colour = network.preprocessing.input, network.preprocessing.colour.view(3, 1, 1)
    noise = torch.randn(len(classes), 3, side, side, generator=torch.Generator().manual_seed(0))
    blank = {"noise": (colour + 0.25 * noise).clamp(0, 1), "mean_image": colour.expand(len(classes), 3, side, side)}
    ranks = {name: judge(pictures, classes)[0] for name, pictures in blank.items()}
    return [mean_row(f"{name}.judge_top1", (rank <= 1).astype(float), "share") for name, rank in ranks.items()]


def _numbers(name: str, frame: pd.DataFrame) -> list[Row]:
    numbers = [
        mean_row(
            f"{name}.{metric}", frame[metric], _UNITS.get(metric, "share"), (0, 1 if metric not in _UNITS else math.inf)
        )
        for metric in (*_ROWS, "judge_top1", "judge_top5")
        if metric in frame
    ]
    unusual = int((frame["state"] != "ok").sum())
    return [*numbers, Row(f"{name}.dead_or_stopped", unusual, "images", len(frame))]


def _draw(
    name: str,
    images: Images,
    pictures: np.ndarray,
    frame: pd.DataFrame,
    settings: Mapping[str, Any],
    gallery: Gallery,
) -> None:
    chosen = {key: value for key, value in settings.items() if value not in (None, {}, [])}
    caption = "Images that maximise each score, with their scores and ranks."
    group = "class models" if "class" in frame else "units"
    sheet = grid(pictures, images.titles, _notes(frame))
    gallery.add(sheet, name, group=group, title=name, caption=caption, settings=chosen)
    caption = f"Gradient ascent of {name}: score and RMS of the image over the steps."
    drawn = traces(images.traces["score"].numpy(), images.traces["norm"].numpy(), images.titles)
    title = f"{name}: gradient ascent"
    gallery.add(drawn, f"{name}_traces", group=group, title=title, caption=caption, settings=chosen)


def _notes(frame: pd.DataFrame) -> list[str]:
    notes = []
    for row in frame.to_dict("records"):
        rank = "" if pd.isna(row["rank"]) else f", rank {int(row['rank'])}"
        second = f"; second network: rank {row['judge_rank']}" if "judge_rank" in row else ""
        state = "" if row["state"] == "ok" else f"{row['state']}: "
        notes.append(f"{state}score {row['score']:.1f}{rank}{second}")
    return notes


def _compare(frames: Mapping[str, pd.DataFrame], pictures: Mapping[str, np.ndarray], gallery: Gallery) -> None:
    alike = {name: pictures[name] for name, frame in frames.items() if "class" in frame}
    if len(alike) < 3:
        return
    first = next(iter(alike))
    titles = frames[first]["name"].tolist()
    notes = {name: _notes(frames[name]) for name in alike}
    gallery.add(
        presets(alike, titles, notes),
        "synthesis_presets",
        group="class models",
        title="One class by every method",
        caption="Rows are methods, columns are classes.",
    )
