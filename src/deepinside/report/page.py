"""The content of the page: plain values, already worded and rounded; the template only lays them out."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

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
class Picture:
    """An image of a gallery, whose file in the artifact is `href`.

    A `tiny` one is enlarged without smoothing, a `long` one has double width. The caption is in two parts: its content,
    and the settings, shown on demand.
    """

    embedded: Embedded
    title: str
    caption: tuple[str, str]
    alt: str
    href: str
    tiny: bool
    anchor: str
    long: bool = False


@dataclass(frozen=True)
class Gallery:
    """The images of one group.

    Args:
        title: of the group.
        caption: common to all of them, and its settings; empty if each has its own.
        size: class of the grid.
        pictures: shown at once.
        rest: shown on demand.
        left_out: number of further images in the artifact.
    """

    title: str
    caption: tuple[str, str]
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
    """A section of the page."""

    anchor: str
    title: str
    says: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Highlight:
    """An image at the top of the page, with its title, a sentence and its section."""

    title: str
    says: str
    picture: Picture
    section: str


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
    lead: str
    missing: Sequence[str]
    highlights: Sequence[Highlight]
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
    glossary: Mapping[str, str]

    @property
    def weight(self) -> int:
        """Bytes of its images."""
        galleries = [one for section in self.sections for part in section.parts for one in part.galleries]
        hung = [picture for one in galleries for picture in (*one.pictures, *one.rest)]
        tables = [one for section in self.sections for part in section.parts for one in part.catalogues]
        pictures = (*hung, *(one.picture for one in self.highlights))
        return sum(len(one.embedded.uri) for one in pictures) + sum(one.weight for one in tables)


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
    template = _environment(escape=True).get_template("index.html")
    return template.render(page=page, style=style, script=script, policy=policy(style, script))


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
