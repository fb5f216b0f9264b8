"""The page: choices on two sides, and what the explorer computes for them."""

import asyncio
import base64
import io
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import panel as pn
from numpy import ndarray
from panel.theme import Native
from panel.viewable import Viewable
from PIL import Image

from deepinside.api.results import Saliency, short
from deepinside.explore.explorer import CROPS, MOST_BYTES, Choices, Explorer, Patches, Photograph, opened
from deepinside.explore.worker import Stale, Worker
from deepinside.plots.maps import coloured

log = logging.getLogger(__name__)

STYLE, DARK = (Path(__file__).with_name(f"{name}.css").read_text(encoding="utf-8") for name in ("page", "dark"))
WHOLE = """{% extends base %}
{% block postamble %}<meta name="viewport" content="width=device-width, initial-scale=1">{% endblock %}"""
EXAMPLES = 12  # photographs to click
METHODS = ("saliency", "guided")  # of the two sides, at first
PROBABLE = "the most probable class"
KINDS = {"a class": False, "a unit": True}
COPY = """
const done = (label) => { button.label = label; setTimeout(() => { button.label = 'Copy' }, 1500) };
navigator.clipboard.writeText(text.tags[0]).then(() => done('Copied'), () => done('Not allowed by the browser'));
"""
FADE = "document.documentElement.style.setProperty('--map', slider.value / 100)"
_HINT = f"<p>JPEG or PNG, up to {MOST_BYTES // 2**20} MB; or one of the examples:</p>"
_TALLEST = 440  # pixels of a photograph
_EXPECTED = (ValueError, KeyError, MemoryError)  # of choices that do not fit, and of files


class Look(Native):
    """Panel's own design, which is light, with the colours of a dark page for those who prefer it."""

    modifiers: ClassVar = {Viewable: {"stylesheets": [*Native.modifiers[Viewable]["stylesheets"], DARK]}}


class Dropper(pn.widgets.FileDropper):
    """Takes a file in one message, whose size the server limits; parts of a file, which it would collect, are not."""

    def _process_event(self, event: Any) -> None:
        if getattr(event, "event_name", "") == "upload_event" and event.data.get("total_chunks") == 1:
            self.value.clear()
            super()._process_event(event)


class Page:
    """One visitor's page.

    Args:
        explorer: computes what it shows.
        worker: the thread in which that happens.
    """

    def __init__(self, explorer: Explorer, worker: Worker) -> None:
        self._explorer = explorer
        self.photograph = explorer.example(0)
        self._message = pn.pane.HTML(_HINT, css_classes=["message"], stylesheets=[STYLE], sizing_mode="stretch_width")
        self._dropper = Dropper(
            max_file_size=f"{MOST_BYTES // 2**20}MB", chunk_size=MOST_BYTES + 1, previews=[], layout="compact",
            sizing_mode="stretch_width", css_classes=["dropper"],
        )  # fmt: skip
        self._dropper.param.watch(self._dropped, "value")
        self.sides = [Side(explorer, worker, self, method) for method in METHODS]

    def view(self) -> pn.Template:
        """All of it, ready to be served."""
        fade = pn.widgets.IntSlider(name="Map over photograph, %", value=60, start=0, end=100, step=5, width=240)
        fade.jscallback(args={"slider": fade}, value=FADE)
        examples = [self._example(i) for i in range(min(EXAMPLES, len(self._explorer.index)))]
        pn.state.onload(self._first)
        whole = pn.Column(
            pn.pane.HTML("<h1>What a network sees in a photograph</h1>", sizing_mode="stretch_width"),
            pn.FlexBox(
                pn.Column(self._dropper, self._message, css_classes=["drop"], styles={"flex": "1 1 300px"}),
                pn.FlexBox(*examples, css_classes=["examples"], styles={"flex": "2 1 300px"}),
                css_classes=["sources"],
            ),
            fade,
            pn.FlexBox(*(side.view() for side in self.sides), css_classes=["sides"]),
            css_classes=["page"], sizing_mode="stretch_width", stylesheets=[STYLE],
        )  # fmt: skip
        page = pn.Template(WHOLE)
        page.add_panel("page", whole)
        return page

    def _example(self, position: int) -> pn.widgets.Button:
        name = self._explorer.index.entries[position].image
        small = Image.fromarray(self._explorer.example(position).pixels.permute(1, 2, 0).numpy())
        small.thumbnail((120, 120))
        look = f".bk-btn {{ background: url({_uri(small)}) center / cover }}"
        button = pn.widgets.Button(
            name=name, description=name, css_classes=["example"], stylesheets=[STYLE, look], width=72, height=72
        )
        button.on_click(lambda _: self._choose(self._explorer.example(position)))
        return button

    def _dropped(self, _: Any) -> None:
        for name, content in list(self._dropper.value.items()):
            content = content.encode() if isinstance(content, str) else content
            self._dropper.value.clear()
            try:
                self._choose(opened(content, str(name)))
            except ValueError as error:
                self._message.object = f"<p role=alert>{escape(str(error))}</p>"

    def _choose(self, photograph: Photograph) -> None:
        self.photograph, self._message.object = photograph, _HINT
        for side in self.sides:
            side.update()

    def _first(self) -> None:
        for side in self.sides:
            side.start()


class Side:
    """One of the two sides: its choices and what is seen with them."""

    def __init__(self, explorer: Explorer, worker: Worker, page: Page, method: str) -> None:
        self._explorer, self._worker, self._page = explorer, worker, page
        self._version = 0
        self._filling = False  # whether choices change because others did
        self._tasks: set[asyncio.Task] = set()
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (2, 6)}
        self.network = pn.widgets.Select(name="Network", options=list(explorer.networks), **wide)
        self.method = pn.widgets.Select(name="Method", options=list(explorer.methods), value=method, **wide)
        self.kind = pn.widgets.RadioButtonGroup(name="Map of", options=KINDS, value=False, **wide)
        self.crops = pn.widgets.Select(name="Crops", options=list(CROPS), **wide)
        self.target = pn.widgets.AutocompleteInput(
            name="Class", placeholder=PROBABLE, search_strategy="includes", case_sensitive=False, min_characters=1,
            restrict=True, **wide,
        )  # fmt: skip
        self.layer = pn.widgets.Select(name="Layer", **wide)
        self.unit = pn.widgets.IntInput(name="Unit", start=0, **wide)
        self._seen, self._status, self._scores, self._patches, self._stimulus, self._command = (
            pn.pane.HTML("", css_classes=[name], stylesheets=[STYLE], **wide)
            for name in ("seen", "status", "scores", "patches", "stimulus", "command")
        )
        self._copy = pn.widgets.Button(name="Copy", width=90, margin=(2, 6))
        self._copy.js_on_click(args={"button": self._copy, "text": self._command}, code=COPY)
        for one in (self.method, self.kind, self.crops, self.target, self.unit):
            one.param.watch(lambda _: self._begin(self._update, by_itself=True), "value")
        self.network.param.watch(lambda _: self.start(), "value")
        self.layer.param.watch(lambda _: self._begin(self._other_layer, by_itself=True), "value")

    def view(self) -> Viewable:
        """The choices, and below them what is seen."""
        rows = ((self.network, self.method), (self.target, self.crops), (self.layer, self.unit))
        return pn.Column(
            *(pn.Row(*row, margin=0, sizing_mode="stretch_width") for row in rows),
            pn.Row(pn.pane.HTML("Map of", margin=(8, 0, 0, 6)), self.kind, margin=0, sizing_mode="stretch_width"),
            *(self._seen, self._status, self._scores, self._patches, self._stimulus),
            *(self._command, self._copy),
            css_classes=["side"], styles={"flex": "1 1 320px", "min-width": "0"},
        )  # fmt: skip

    @property
    def chosen(self) -> Choices:
        """What is chosen now."""
        of = {"target": self.target.value or "", "of_unit": self.kind.value, "crops": self.crops.value}
        return Choices(self.network.value, self.method.value, self.layer.value, self.unit.value or 0, **of)

    def start(self) -> None:
        """Offers the classes, layers and units of the chosen network, and shows it."""
        self._begin(self._other_network)

    def update(self) -> None:
        """Computes and shows everything for what is chosen now."""
        self._begin(self._update)

    def _begin(self, work: Callable[[Callable[[], bool]], Awaitable[None]], *, by_itself: bool = False) -> None:
        if by_itself and self._filling:
            return
        # Not within the callback, during which the server lets nothing else change the page.
        self._version += 1
        version = self._version
        task = asyncio.ensure_future(self._shown(work, lambda: version == self._version))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shown(self, work: Callable[[Callable[[], bool]], Awaitable[None]], current: Callable[[], bool]) -> None:
        try:
            await work(current)
        except Stale:
            return
        except Exception as error:  # so that the page says so, whatever it was
            if not isinstance(error, _EXPECTED):
                log.exception("the page could not be updated")
            self._status.object = _alert(error)

    async def _other_network(self, current: Callable[[], bool]) -> None:
        name, explorer = self.network.value, self._explorer
        self._status.object = f"<p>loading {escape(name)} ...</p>"
        layers = await self._worker.first(lambda: explorer.layers(name), current)
        options = {f"{one} ({count} units)": one for one, count in layers.items()}
        with self._filled():
            self.target.param.update(options=list(explorer.classes(name)), value="")
            self.layer.param.update(options=options, value=explorer.last_layer(name))
        await self._other_layer(current)

    async def _other_layer(self, current: Callable[[], bool]) -> None:
        photograph, chosen = self._page.photograph, self.chosen
        unit = await self._worker.first(lambda: self._explorer.strongest(photograph, chosen), current)
        count = self._explorer.layers(chosen.network)[chosen.layer]
        with self._filled():
            self.unit.param.update(name=f"Unit, 0 to {count - 1}", end=count - 1, value=unit)
        await self._update(current)

    @contextmanager
    def _filled(self) -> Generator[None]:
        self._filling = True
        try:
            yield
        finally:
            self._filling = False

    async def _update(self, current: Callable[[], bool]) -> None:
        # The map first, then the images of the unit, which take longer.
        photograph, chosen, explorer = self._page.photograph, self.chosen, self._explorer
        start = time.perf_counter()
        command = explorer.command(photograph, chosen)
        self._command.param.update(object=f"<h2>Repeat it</h2><pre>{escape(command)}</pre>", tags=[command])
        self._status.object = "<p>computing the map ...</p>"
        try:
            seen = await self._worker.first(lambda: explorer.map(photograph, chosen), current)
            self._seen.object = _figure(seen)
            self._status.object = f"<p>{_title(seen)}: computed in {time.perf_counter() - start:.2f} s</p>"
        except _EXPECTED as error:
            self._seen.object, self._status.object = "", _alert(error)
        scores = await self._worker.first(lambda: explorer.scores(photograph, chosen), current)
        self._scores.object = f"<h2>Most probable classes</h2>{_bars(scores)}"
        title = f"Unit {chosen.unit} of {escape(chosen.layer)}"
        await self._later(
            self._patches, f"{title}: strongest patches", lambda: _strip(explorer.patches(chosen)), current
        )

        def stimulus() -> str:
            return _image(explorer.stimulus(chosen), "preferred stimulus")

        await self._later(self._stimulus, f"{title}: preferred stimulus", stimulus, current)

    async def _later(
        self, pane: pn.pane.HTML, title: str, work: Callable[[], str], current: Callable[[], bool]
    ) -> None:
        pane.object = f"<h2>{title}</h2><p>computing ...</p>"
        try:
            pane.object = f"<h2>{title}</h2>{await self._worker.later(work, current)}"
        except _EXPECTED as error:
            pane.object = f"<h2>{title}</h2>{_alert(error)}"


def _alert(error: Exception) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return f"<p role=alert>{escape(str(text))}</p>"


def _title(seen: Saliency) -> str:
    share = seen.probabilities[0]
    return escape(short(seen.targets[0])) + ("" if np.isnan(share) else f" ({share:.0%})")


def _figure(seen: Saliency) -> str:
    map_ = coloured(seen.maps[0], signed=seen.signed)
    scale = "blue: negative, red: positive" if seen.signed else "black: 0, light: large"
    note = scale if seen.maps[0].any() else "all zero"
    height, width = map_.shape[:2]
    both = _image(seen.image, "the photograph") + _image(map_, "its map")
    look = f"aspect-ratio: {width}/{height}; max-width: {round(_TALLEST * width / height)}px"
    return f'<figure><div style="{look}">{both}</div><figcaption>{note}</figcaption></figure>'


def _bars(scores: Sequence[tuple[str, float]]) -> str:
    rows = (
        f"<tr><td>{escape(short(name))}</td><td><meter value={share:.4f} aria-hidden=true></meter></td>"
        f"<td>{share:.1%}</td></tr>"
        for name, share in scores
    )
    return f"<table>{''.join(rows)}</table>"


def _strip(patches: Patches) -> str:
    rows = zip(patches.images, patches.projections, patches.names, patches.values, strict=True)
    parts = (
        f"<figure>{_image(patch, 'patch')}{_image((projection + 1) / 2, 'its projection')}"
        f"<figcaption>{escape(name)}<br>{value:.3g}</figcaption></figure>"
        for patch, projection, name, value in rows
    )
    return f"<div class=strip>{''.join(parts)}</div>"


def _image(values: ndarray, what: str) -> str:
    pixels = values if values.dtype == np.uint8 else (np.clip(values.astype(np.float32), 0, 1) * 255).round()
    return f'<img alt="{what}" src="{_uri(Image.fromarray(pixels.astype(np.uint8)))}">'


def _uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.convert("RGB").save(file, "WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
