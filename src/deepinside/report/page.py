"""The content of the page: plain values, already worded and rounded; the template only lays them out."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from deepinside.report.catalogue import Catalogue, Claims
from deepinside.report.embed import Embedded
from deepinside.report.external_tables import Benchmark, Comparison


@dataclass(frozen=True)
class Number:
    """A number: its metric, its subject, as text and as value; NaN for unknown."""

    artifact: "Artifact"
    metric: str
    what: str
    of: str
    text: str
    interval: str
    count: str
    unit: str
    value: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """Metric and subject in one line."""
        return f"{self.what}, {self.of}" if self.of else self.what


@dataclass(frozen=True)
class Grid:
    """Comparable numbers: name and unit of each column; name and numbers of each row."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[Number | None]]]


@dataclass(frozen=True)
class Bar:
    """A number drawn: lengths in percent of the scale; `low` and `high` are None without an interval."""

    length: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class View:
    """An image with the words beside it, whose file in the artifact is `href`; a `tiny` one is not smoothed."""

    embedded: Embedded
    title: str
    note: str
    alt: str
    href: str
    tiny: bool
    kind: str = "other"


@dataclass(frozen=True)
class Picture:
    """A figure of a gallery: one image, or several of one size in rows of `columns`.

    Args:
        views: its images.
        title: a few words.
        caption: its content.
        settings: name and value.
        anchor: its address on the page.
        columns: of its images; 0 if it is one image.
        long: whether it has double width.
        entries: text and address of what it is about.
    """

    views: Sequence[View]
    title: str
    caption: str
    settings: Sequence[tuple[str, str]]
    anchor: str
    columns: int = 0
    long: bool = False
    entries: Sequence[tuple[str, str]] = ()

    @property
    def embedded(self) -> Embedded:
        """The first image."""
        return self.views[0].embedded


@dataclass(frozen=True)
class Gallery:
    """The images of one group.

    Args:
        title: of the group.
        caption: common to all of them; empty if each has its own.
        settings: common to all of them; empty if each has its own.
        size: class of the grid.
        pictures: shown at once.
        rest: shown on demand.
        left_out: number of further images in the artifact.
    """

    title: str
    caption: str
    settings: Sequence[tuple[str, str]]
    size: str
    pictures: Sequence[Picture]
    rest: Sequence[Picture]
    left_out: int

    @property
    def shown(self) -> int:
        """Number of images on the page."""
        return len(self.pictures) + len(self.rest)


@dataclass(frozen=True)
class Sheet:
    """A csv file of single results."""

    file: str
    href: str
    header: Sequence[str]
    first: Sequence[Sequence[str]]
    count: str


@dataclass(frozen=True)
class Artifact:
    """An artifact as the page names it: `anchor` in the page, `href` of its folder."""

    key: str
    name: str
    detail: str
    stage: str
    fingerprint: str
    anchor: str
    href: str
    command: str
    settings: Sequence[tuple[str, str]]
    inputs: Sequence[tuple[str, str]]  # role, fingerprint
    sheets: Sequence[Sheet]
    set_aside: Sequence[tuple[str, str]]
    problems: Sequence[str]


@dataclass(frozen=True)
class Part:
    """What one artifact contributes to one section; `first` where the artifact itself is described."""

    anchor: str
    artifact: Artifact
    numbers: Sequence[Number]
    grids: Sequence[Grid]
    galleries: Sequence[Gallery]
    catalogues: Sequence[Catalogue]
    first: bool


@dataclass(frozen=True)
class Section:
    """A section of the page: what its numbers mean, and what they are."""

    anchor: str
    title: str
    says: str
    found: Sequence[str]
    parts: Sequence[Part]


@dataclass(frozen=True)
class Overlay:
    """The figure at the top: an image, its map, what they show, and the address of the whole figure."""

    image: View
    map: View
    says: str
    anchor: str


@dataclass(frozen=True)
class Paper:
    """Tests of a paper's claims by verdict: name, address, words, tone and count of each; and how many are decided."""

    name: str
    href: str
    verdicts: Sequence[tuple[str, str, int]]  # the decided ones first
    decided: int


@dataclass(frozen=True)
class Opening:
    """The first screen: question and sentences of each answer, a figure, and the verdicts by paper."""

    answers: Sequence[tuple[str, Sequence[str]]]
    overlay: Overlay | None
    papers: Sequence[Paper]


@dataclass(frozen=True)
class Entry:
    """Everything known about one image or unit.

    Args:
        anchor: its address on the page.
        title: its name.
        kind: `image` or `unit`.
        facts: a title and, in order, name and value.
        figures: title and anchor.
        strip: anchor of its top images in a table; empty for none.
    """

    anchor: str
    title: str
    kind: str
    facts: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    figures: Sequence[tuple[str, str]]
    strip: str = ""


@dataclass(frozen=True)
class Citation:
    """How to cite the software: version, commit, and the entry for BibTeX; text without a value is empty."""

    version: str
    commit: str
    bibtex: str


@dataclass(frozen=True)
class RunEnvironment:
    """Names of artifacts, and the machine and packages that they were computed with."""

    artifacts: Sequence[str]
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Found:
    """A group of key results: numbers with their bars, and the end of the scale."""

    title: str
    numbers: Sequence[tuple[Number, Bar | None]]


@dataclass(frozen=True)
class Node:
    """A box of the pipeline's drawing; `state` is `here`, `broken`, `elsewhere` (not on this page) or `page`."""

    name: str
    detail: str
    fingerprint: str
    href: str
    state: str
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """The pipeline as a drawing: boxes of one size and the paths between them, in units of the view box."""

    width: float
    height: float
    box: tuple[float, float]
    nodes: Sequence[Node]
    edges: Sequence[str]


@dataclass(frozen=True)
class Page:
    """The whole page; `anchors` maps a fingerprint to its artifact."""

    title: str
    name: str
    opening: Opening
    missing: Sequence[str]
    claims: Claims | None
    found: Sequence[Found]
    sections: Sequence[Section]
    artifacts: Sequence[Artifact]
    wide: Drawing
    narrow: Drawing
    anchors: Mapping[str, Artifact]
    counts: Sequence[tuple[str, str]]
    command: str
    environments: Sequence[RunEnvironment]
    benchmarks: Sequence[Benchmark]
    comparisons: Sequence[Comparison]
    growth: Sequence[Comparison]
    glossary: Mapping[str, str]
    entries: Sequence[Entry]
    citation: Citation
    references: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, str]]  # name, and the csv as a data URI

    @property
    def weight(self) -> int:
        """Bytes of its images."""
        galleries = [one for section in self.sections for part in section.parts for one in part.galleries]
        hung = [view for one in galleries for picture in (*one.pictures, *one.rest) for view in picture.views]
        tables = [one for section in self.sections for part in section.parts for one in part.catalogues]
        top = [] if self.opening.overlay is None else [self.opening.overlay.image, self.opening.overlay.map]
        return sum(len(one.embedded.uri) for one in (*hung, *top)) + sum(one.weight for one in tables)


SCRIPTS = ("page.js", "browse.js")
_TEMPLATES = resources.files("deepinside.report") / "templates"


def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy: no network, frames or forms; only this style, this script and embedded images."""
    return (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def render(page: Page) -> str:
    """The page as one HTML document that loads nothing."""
    style, script = _source("style.css"), "\n".join(map(_source, SCRIPTS))
    environment = _environment(escape=True)
    environment.filters["cited"] = partial(cited, references=dict(page.references))
    template = environment.get_template("index.html")
    return template.render(page=page, style=style, script=script, policy=policy(style, script))


def cited(text: str, references: Mapping[str, str]) -> Markup:
    """Text in which the papers are links to where they can be read."""
    names = "|".join(map(re.escape, sorted(references, key=len, reverse=True)))
    pieces = re.split(f"({names})", text) if names else [text]
    link = Markup('<a href="{}">{}</a>')
    return Markup("").join(link.format(references[one], one) if one in references else one for one in pieces)


def written(page: Page) -> str:
    """The page as Markdown, without its images."""
    lines = _environment(escape=False).get_template("report.md").render(page=page)
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


def _environment(*, escape: bool) -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = plain
    return environment


def plain(text: str) -> str:
    """Text in one line, with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(str(text).split()))
