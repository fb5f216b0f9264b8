"""The part of visualise that makes pictures of classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from deepinside.methods.quality import high_frequency_share
from deepinside.network import Network
from deepinside.plots.class_models import grid, traces
from deepinside.plots.gallery import Gallery
from deepinside.progress import track
from deepinside.records import Batch, Images, Row
from deepinside.statistics import bootstrap_interval


def draw_classes(
    network: Network, classes: list[int], methods: Mapping[str, Any], gallery: Gallery, out: Path
) -> list[Row]:
    """A picture of each class by every method, with `class_models.csv` and `class_models.npz`.

    Args:
        network: any.
        classes: their numbers.
        methods: name -> method that returns `Images`.
        gallery: to add to.
        out: the work folder.

    Returns:
        Rows for the table.
    """
    numbers: list[Row] = []
    frames, kept = [], {}
    labels = torch.tensor(classes, dtype=torch.long)
    batch = Batch(torch.zeros(len(classes), 3, 1, 1), tuple(map(str, classes)), labels)
    for name, method in track(list(methods.items()), "class models") if classes else ():
        images: Images = method.work(network, batch, **method.settings)
        frame = _judged(network, images, classes).assign(method=name)
        frames.append(frame)
        kept[f"{name}.images"] = (images.values.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
        kept |= {f"{name}.{trace}": values.numpy() for trace, values in images.traces.items()}
        _draw(name, images, frame, method.settings, gallery)
        for metric in ("rank_one", "high_frequency_share"):
            values = frame[metric].to_numpy(dtype=float)
            interval = bootstrap_interval(values)
            numbers.append(Row(f"{name}.{metric}", float(values.mean()), "share", len(values), *interval))
    if frames:
        whole = pd.concat(frames)[["method", *(c for c in frames[0].columns if c != "method")]]
        whole.to_csv(out / "class_models.csv", index=False, lineterminator="\n")
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
