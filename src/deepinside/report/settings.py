"""The settings of the page: `conf/report/*.yaml`, typed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Chapter:
    """A section of the page and its content.

    Args:
        title: its heading.
        says: one sentence under the heading: what its numbers mean.
        keys: patterns (`fnmatch`) of the artifacts shown here, in order.
        about: patterns of the image groups and metrics shown here.
        topic: of the findings stated here, see `findings`.
    """

    title: str
    says: str
    keys: tuple[str, ...]
    about: tuple[str, ...] = ("*",)
    topic: str = ""


@dataclass(frozen=True)
class Finding:
    """A group of numbers at the top of the page.

    Args:
        title: its heading.
        numbers: patterns `artifact key:metric`, in the order to show.
        most: how many to show at most.
    """

    title: str
    numbers: tuple[str, ...]
    most: int = 9


@dataclass(frozen=True)
class Settings:
    """Settings of the page.

    Args:
        title: of the page.
        stages: whose artifacts the page reports as missing.
        pictures_per_gallery: at most; the others remain in the artifact.
        megabytes: size limit of the page.
        findings: the key results at the top.
        chapters: the sections; what matches none gets its own.
        showcase: patterns `artifact key:group:title` of the figure at the top, the first with a match is used.
        rows_per_table: of the long tables, at most; the others remain in the artifact.
        glossary: terms and their definitions.
        plain: data sets and networks in plain words.
        synthetic: data sets whose images are drawn by the program.
        references: papers and their addresses.
        words: readable names of metrics, their prefixes, image groups and artifacts.
        also: overrides of the further runs.
        missing: parts that were skipped because their data or weights are missing, with the reasons.
        command: overrides of the run itself; None if unknown.
        benchmarks: table of `make benchmark`; None: not shown.
        networks: table of `experiments/networks.py`; None: not shown.
        growth: table of `benchmarks/size.py`; None: not shown.
        register: table of claims that were tested before, `experiments/claims.csv`; None: not shown.
    """

    title: str
    stages: tuple[str, ...]
    pictures_per_gallery: int
    megabytes: float
    findings: tuple[Finding, ...]
    chapters: tuple[Chapter, ...]
    showcase: tuple[str, ...] = ()
    rows_per_table: int = 1000
    glossary: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)
    synthetic: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    also: tuple[tuple[str, ...], ...] = ()
    missing: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    benchmarks: Path | None = None
    networks: Path | None = None
    growth: Path | None = None
    register: Path | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The settings from plain lists and dictionaries, as in `conf/report/default.yaml`."""
        command = config.get("command")
        return cls(
            title=config["title"],
            stages=tuple(config["stages"]),
            pictures_per_gallery=config["pictures_per_gallery"],
            megabytes=config["megabytes"],
            findings=tuple(
                Finding(one["title"], tuple(one["numbers"]), one.get("most") or 9) for one in config["findings"]
            ),
            chapters=tuple(
                Chapter(
                    one["title"],
                    one["says"],
                    tuple(one["keys"]),
                    tuple(one.get("about") or ("*",)),
                    one.get("topic") or "",
                )
                for one in config["chapters"]
            ),
            showcase=tuple(config["showcase"]),
            rows_per_table=config["rows_per_table"],
            glossary=dict(config["glossary"]),
            words=dict(config["words"]),
            plain=dict(config["plain"]),
            synthetic=tuple(config["synthetic"]),
            references=dict(config["references"]),
            also=tuple(tuple(map(str, overrides)) for overrides in config["also"]),
            missing=tuple(map(str, config.get("missing", ()))),
            command=None if command is None else tuple(map(str, command)),
            benchmarks=Path(config["benchmarks"]) if config.get("benchmarks") else None,
            networks=Path(config["networks"]) if config.get("networks") else None,
            growth=Path(config["growth"]) if config.get("growth") else None,
            register=Path(config["register"]) if config.get("register") else None,
        )
