"""Pictures and classes -> what the network sees in them: maps per picture, models per class."""

import inspect
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from hydra.utils import get_method
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf

from deepinside import views
from deepinside.data.bad_file import BadFile
from deepinside.data.index import Entry, Index, read_image
from deepinside.methods.quality import energy_ratio, high_frequency_share
from deepinside.network import Network
from deepinside.plots.class_models import grid, traces
from deepinside.plots.gallery import Gallery
from deepinside.plots.maps import beside
from deepinside.progress import resumable, track
from deepinside.records import Batch, Boxes, Images, Maps, Row, Table
from deepinside.stages.inputs import open_index, open_network
from deepinside.statistics import bootstrap_interval

Method = Callable[..., Maps | Images]


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `per_image.csv`, `maps.npz`, `class_models.csv`, `class_models.npz`, pictures and `table.csv`.

    Args:
        cfg: groups visualise, method, data, machine.
        inputs: `prepare` and `network`.
        out: the work folder.
    """
    network = open_network(cfg, inputs["network"])
    index = _chosen(
        open_index(cfg, inputs["prepare"]).split(cfg.data.split).limit(cfg.data.limit), cfg.visualise.images
    )
    settings: Any = OmegaConf.to_container(cfg.method)
    methods = {name: _method(keys) for name, keys in settings.items()}
    of_pictures = {name: m for name, m in methods.items() if inspect.signature(m[0]).return_annotation is Maps}
    of_classes = {name: m for name, m in methods.items() if name not in of_pictures}
    gallery = Gallery(out)
    rows = _pictures(network, index, of_pictures, cfg.visualise.crops, gallery, out)
    table = pd.DataFrame([row for row in rows if not row["reason"]]).drop(columns="reason", errors="ignore")
    table.to_csv(out / "per_image.csv", index=False, lineterminator="\n")
    aside = [(index.entries[i].file, row["reason"]) for i, row in enumerate(rows) if row["reason"]]
    pd.DataFrame(aside, columns=["file", "reason"]).to_csv(out / "set_aside.csv", index=False, lineterminator="\n")
    classes = sorted(dict.fromkeys(table["predicted"]))[: cfg.visualise.classes] if len(table) else []
    numbers = _classes(network, classes, of_classes, gallery, out)
    gallery.write()
    Table([*_about_pictures(table, of_pictures), *numbers, Row("images_set_aside", len(aside), "images")]).write(out)
    shutil.rmtree(out / "parts", ignore_errors=True)


def _chosen(index: Index, images: int) -> Index:
    labelled = any(entry.label >= 0 for entry in index.entries)
    return index.balanced(images) if labelled else index.limit(images)


def _method(keys: Mapping[str, Any]) -> tuple[Method, dict[str, Any]]:
    return get_method(keys["_target_"]), {key: value for key, value in keys.items() if key != "_target_"}


def _pictures(
    network: Network, index: Index, methods: dict[str, Any], crops: str, gallery: Gallery, out: Path
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    kept: dict[str, ndarray] = {}

    def compute(positions: range) -> dict[str, ndarray]:
        return _seen(network, index.root, index.entries[positions[0]], methods, crops)

    answers = resumable(out / "parts", len(index), 1, compute, "pictures")
    for entry, answer in zip(index.entries, answers, strict=True):
        rows.append(row := _row(entry, answer, methods, network, len(index.classes) == len(network.classes)))
        if row["reason"]:
            continue
        maps = {name: answer[f"map.{name}"] for name in methods}
        kept |= {f"{entry.image}.{name}": map_.astype(np.float16) for name, map_ in maps.items()}
        title = f"{row['predicted_name'].split(',')[0]} ({row['probability']:.0%})"
        truth = f"; labelled {row['name'].split(',')[0]}" if row["name"] else ""
        gallery.add(
            beside(answer["canvas"], maps, title),
            f"maps_{len(rows):03d}",
            group="maps",
            title=title,
            caption=f"{entry.image}{truth}. What moves the score of {title.split(' (')[0]}: "
            f"maps averaged over {answer['crops']} crops, each on its own scale up to its 99.5 % quantile.",
        )
    np.savez(out / "maps.npz", **kept)  # type: ignore[arg-type]
    return rows


def _seen(network: Network, root: Path, entry: Entry, methods: dict[str, Any], crops: str) -> dict[str, ndarray]:
    try:
        image = read_image(root / entry.file)
    except BadFile as error:
        return {"reason": np.array(str(error))}
    recipe = network.preprocessing
    canvas = views.warped(image, recipe) if crops == "warp" else views.canvas(image, recipe)
    height, width = canvas.shape[1:]
    places = views.placements(height, width, recipe.input, "centre" if crops == "warp" else crops)
    cut = views.cut(canvas, places, recipe.input)
    with torch.no_grad():
        probabilities = network(cut.to(network.device)).softmax(dim=1).mean(dim=0).cpu()
    predicted = int(probabilities.argmax())
    batch = Batch(cut, tuple(f"{entry.image}.{i}" for i in range(len(cut))), torch.full((len(cut),), predicted))
    answer: dict[str, ndarray] = {
        "predicted": np.array(predicted),
        "probability": np.array(float(probabilities[predicted])),
        "canvas": canvas.permute(1, 2, 0).numpy(),
        "crops": np.array(len(cut)),
    }
    boxes = _on_canvas(entry, height, width)
    for name, (method, settings) in methods.items():
        merged, _ = views.merged(method(network, batch, **settings).values.cpu(), places, height, width)
        answer[f"map.{name}"] = merged[0].numpy()
        answer[f"ratio.{name}"] = np.array(energy_ratio(merged[0], boxes) if len(boxes) else np.nan)
    return answer


def _on_canvas(entry: Entry, height: int, width: int) -> Boxes:
    factors = np.array([width / entry.width, height / entry.height] * 2)
    return Boxes(entry.boxes.xyxy * factors)


def _row(
    entry: Entry, answer: dict[str, ndarray], methods: dict[str, Any], network: Network, same: bool
) -> dict[str, Any]:
    if "reason" in answer:
        return {"image": entry.image, "reason": str(answer["reason"])}
    predicted = int(answer["predicted"])
    name = network.classes[entry.label] if same and entry.label >= 0 else ""
    row: dict[str, Any] = {"image": entry.image, "label": entry.label, "name": name, "predicted": predicted}
    row |= {"predicted_name": network.classes[predicted], "probability": round(float(answer["probability"]), 6)}
    for method in methods:
        right = predicted == entry.label if same and entry.label >= 0 else False
        row[f"{method}_energy_ratio"] = round(float(answer[f"ratio.{method}"]), 6) if right else np.nan
    return row | {"reason": ""}


def _about_pictures(table: pd.DataFrame, methods: dict[str, Any]) -> list[Row]:
    rows = [Row("images", len(table), "images")]
    for name in methods:
        values = table[f"{name}_energy_ratio"].dropna().to_numpy() if len(table) else np.array([])
        if len(values):
            metric = f"{name}.energy_in_box_over_area_share"
            rows.append(Row(metric, float(values.mean()), "ratio", len(values), *bootstrap_interval(values)))
    return rows


def _classes(network: Network, classes: list[int], methods: dict[str, Any], gallery: Gallery, out: Path) -> list[Row]:
    numbers: list[Row] = []
    frames, kept = [], {}
    for name, (method, settings) in track(list(methods.items()), "class models"):
        batch = Batch(
            torch.zeros(len(classes), 3, 1, 1), tuple(map(str, classes)), torch.tensor(classes, dtype=torch.long)
        )
        images: Images = method(network, batch, **settings)
        frame = _judged(network, images, classes).assign(method=name)
        frames.append(frame)
        kept[f"{name}.images"] = (images.values.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
        kept |= {f"{name}.{trace}": values.numpy() for trace, values in images.traces.items()}
        _draw(name, images, frame, settings, gallery)
        for metric, unit in (("rank_one", "share"), ("high_frequency_share", "share")):
            values = frame[metric].to_numpy(dtype=float)
            numbers.append(
                Row(f"{name}.{metric}", float(values.mean()), unit, len(values), *bootstrap_interval(values))
            )
    if frames:
        frame = pd.concat(frames)[["method", *(c for c in frames[0].columns if c != "method")]]
        frame.to_csv(out / "class_models.csv", index=False, lineterminator="\n")
        np.savez(out / "class_models.npz", **kept)  # type: ignore[arg-type]
    return numbers


def _judged(network: Network, images: Images, classes: list[int]) -> pd.DataFrame:
    with torch.no_grad():
        scores = network(images.values.to(network.device)).cpu()
    own = scores.gather(1, torch.tensor(classes)[:, None])
    frame = pd.DataFrame({"class": classes, "name": images.titles})
    frame["score"] = own[:, 0].numpy().round(4)
    frame["probability"] = scores.softmax(dim=1).gather(1, torch.tensor(classes)[:, None])[:, 0].numpy().round(6)
    frame["rank"] = (scores > own).sum(dim=1).numpy() + 1
    frame["rank_one"] = (frame["rank"] == 1).astype(int)
    frame["high_frequency_share"] = high_frequency_share(images.values).numpy().round(6)
    return frame


def _draw(name: str, images: Images, frame: pd.DataFrame, settings: dict[str, Any], gallery: Gallery) -> None:
    said = ", ".join(f"{key} {value}" for key, value in settings.items())
    notes = [f"score {s:.1f}, rank {r}" for s, r in zip(frame["score"], frame["rank"], strict=True)]
    pictures = images.values.permute(0, 2, 3, 1).numpy()
    caption = f"The picture that each class score likes best, with the score and rank it gets ({said})."
    gallery.add(grid(pictures, images.titles, notes), name, group="class models", title=name, caption=caption)
    drawn = traces(images.traces["score"].numpy(), images.traces["norm"].numpy(), images.titles)
    caption = f"The ascent of {name}: class score and size of the picture over the steps ({said})."
    gallery.add(drawn, f"{name}_traces", group="class models", title=f"{name}: the ascent", caption=caption)
