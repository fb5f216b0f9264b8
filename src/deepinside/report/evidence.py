"""Where on the page the evidence of a claim is shown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from deepinside.report.page import Artifact, Section
from deepinside.report.section import home, titled
from deepinside.report.settings import Chapter

_Place = tuple[str, str]  # title of the section, anchor of the part


@dataclass(frozen=True)
class Places:
    """What is shown where.

    Args:
        known: fingerprint or key -> artifact.
        numbers: (anchor of the artifact, metric) -> place.
        parts: (anchor of the artifact, anchor of the section) -> place; with an empty section where it is described.
        chapters: of the page.
    """

    known: Mapping[str, Artifact]
    numbers: Mapping[tuple[str, str], _Place]
    parts: Mapping[tuple[str, str], _Place]
    chapters: Sequence[Chapter]

    @classmethod
    def of(cls, artifacts: Iterable[Artifact], sections: Iterable[Section], chapters: Sequence[Chapter]) -> Self:
        """From the page.

        Args:
            artifacts: of the page.
            sections: of the page.
            chapters: that the sections were made of.

        Returns:
            All places.
        """
        numbers: dict[tuple[str, str], _Place] = {}
        parts: dict[tuple[str, str], _Place] = {}
        for section in sections:
            for part in section.parts:
                there, anchor = (section.title, part.anchor), part.artifact.anchor
                cells = [one for grid in part.grids for _, row in grid.rows for one in row if one]
                numbers |= {(anchor, one.metric): there for one in (*part.numbers, *cells)}
                parts[anchor, section.anchor] = there
                if part.first:
                    parts[anchor, ""] = there
        return cls({key: one for one in artifacts for key in (one.fingerprint, one.key)}, numbers, parts, chapters)

    def links(self, names: str, metric: str) -> tuple[_Place, ...]:
        """Links to the artifacts of a claim.

        Args:
            names: of artifacts, as `claims.csv` has them.
            metric: that was measured; where no table has it, its words tell the section.

        Returns:
            Text and address of each; the address is empty where there is none.
        """
        links: dict[str, str] = {}
        for name in filter(None, re.split(r"[\s;,]+", names)):
            artifact = self.known.get(name) or self.known.get(name.rstrip("/").rpartition("/")[2])
            if artifact is not None:
                title, anchor = self._of(artifact, metric)
                links.setdefault(title, f"#{anchor}")
            elif re.fullmatch(r"\w+/[0-9a-f]{16}", name):
                stage, again = name.partition("/")[0], sum(text.isdecimal() for text in links) + 2
                links[str(again) if stage in links else stage] = (
                    f"../../{quote(name)}/"  # of five seeds: dissect, 2, 3 ...
                )
            else:
                links.setdefault(name, "")
        return tuple(links.items())

    def _of(self, artifact: Artifact, metric: str) -> _Place:
        own = self.parts.get((artifact.anchor, ""), ("evidence", artifact.anchor))
        if (artifact.anchor, metric) in self.numbers:
            return self.numbers[artifact.anchor, metric]
        index = home(artifact.key, metric, self.chapters)
        fitting = titled(self.chapters[index].title) if index < len(self.chapters) else ""
        return self.parts.get((artifact.anchor, fitting), own)
