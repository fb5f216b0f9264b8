"""The first screen: what was looked at, by which network, what was found, how sure it is, and what failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from deepinside.report.claims import DECIDED, VERDICTS, WORLDS, tone
from deepinside.report.exhibit import Exhibits, picture
from deepinside.report.findings import Finding
from deepinside.report.folder import Folder
from deepinside.report.page import Artifact, Number, Opening, Overlay, Paper, Picture
from deepinside.report.settings import Settings

LOOKED, NETWORK, FOUND, SURE, FAILED = (
    "What was looked at", "Which network", "What was found", "How sure it is", "What failed",
)  # fmt: skip
MOST = 5  # sentences of what was found
FAILURES = 3  # sentences of what failed
OURS = "questions of this project"
_COUNTED = (("train_images", "to train on"), ("val_images", "to test on"), ("all_images", ""))


def opening(
    folders: Sequence[Folder],
    artifacts: Sequence[Artifact],
    known: Sequence[Number],
    found: Sequence[Finding],
    rows: Sequence[Mapping[str, str]],
    chosen: Mapping[str, Mapping[str, str]],
    exhibits: Exhibits,
    settings: Settings,
    budget: float,
) -> Opening:
    """The answers, each only as far as the artifacts give it.

    Args:
        folders: in the order of the page.
        artifacts: likewise.
        known: all numbers.
        found: sentences, in order.
        rows: of the register of claims.
        chosen: names of data and network by key of the artifact.
        exhibits: images of the page.
        settings: of the page.
        budget: bytes that the images of the page may have.
    """
    answers = (
        (LOOKED, _data(known, chosen, settings)),
        (NETWORK, _described(chosen, "model", settings)),
        (FOUND, _first([one for one in found if not one.failed], MOST)),
        (SURE, _sure(folders, rows) if found or rows else []),
        (FAILED, _failed(found, rows, settings)),
    )
    return Opening(
        [(question, sentences) for question, sentences in answers if sentences],
        _overlay(folders, artifacts, exhibits, settings, budget),
        papers(rows, settings.references),
    )


def _names(chosen: Mapping[str, Mapping[str, str]], group: str) -> list[str]:
    main_first = sorted(chosen, key=lambda key: "." in key)
    return list(dict.fromkeys(name for key in main_first if (name := chosen[key].get(group))))


def _described(chosen: Mapping[str, Mapping[str, str]], group: str, settings: Settings) -> list[str]:
    names = _names(chosen, group)
    return [_sentence(settings.plain.get(name) or settings.words.get(name, name)) for name in names]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _data(known: Sequence[Number], chosen: Mapping[str, Mapping[str, str]], settings: Settings) -> list[str]:
    sentences = []
    for name in _names(chosen, "data"):
        counts = {
            one.metric: one.text
            for one in known
            if one.value and one.artifact.stage == "prepare" and chosen[one.artifact.key].get("data") == name
        }
        parts = [f"{counts[metric]} {use}".strip() for metric, use in _COUNTED if metric in counts]
        if "classes" in counts and parts:
            parts.append(counts["classes"])
        text = settings.plain.get(name) or settings.words.get(name, name)
        sentences.append(_sentence(f"{text.rstrip('.')}: {', '.join(parts)}" if parts else text))
    return sentences


def _first(found: Sequence[Finding], most: int) -> list[str]:
    # One sentence of each topic.
    return list({one.topic: one.says for one in reversed(found)}.values())[::-1][:most]


def _sure(folders: Iterable[Folder], rows: Sequence[Mapping[str, str]]) -> list[str]:
    trained = sum(folder.stage == "train" for folder in folders)
    sentences = [
        "Brackets are 95 % confidence intervals: of 100 intervals made this way from other images, 95 on average "
        "contain the true value."
    ]
    if trained == 1:
        sentences.append(
            "They are about the choice of images: one network was trained, so another seed is not in them."
        )
    decided = sum(one["verdict"] in DECIDED for one in rows)
    if rows:
        seen = sum(one.get("seen") == "yes" for one in rows)
        others = "; the others are listed with what they need" if decided < len(rows) else ""
        sentences.append(f"{decided} of {len(rows)} tests of the papers' claims have a verdict{others}.")
        if seen:
            sentences.append(f"The rules of {seen} of them were set after figures of the same kind had been seen.")
    return sentences


def _failed(found: Sequence[Finding], rows: Sequence[Mapping[str, str]], settings: Settings) -> list[str]:
    sentences = _first([one for one in found if one.failed], FAILURES)
    contradicted = [one for one in rows if one["verdict"] == "contradicted"]
    if contradicted:
        first = contradicted[0]
        where = WORLDS.get(first["world"], first["world"])
        plural = "s contradict their claims" if len(contradicted) > 1 else " contradicts its claim"
        example = f"“{first['statement'].rstrip('.')}” ({where})"
        sentences.append(f"{len(contradicted)} test{plural}, such as {example}.")
    if settings.missing:
        count = len(settings.missing)
        sentences.append(f"{count} part{'s were' if count > 1 else ' was'} skipped, as named below.")
    return sentences


OVERLAY = 0.01  # share of the budget that the figure at the top may take in any case


def _overlay(
    folders: Sequence[Folder], artifacts: Sequence[Artifact], exhibits: Exhibits, settings: Settings, budget: float
) -> Overlay | None:
    room = max(budget - exhibits.weight, OVERLAY * budget)  # the first thing seen, even if the galleries are full
    for pattern in settings.showcase:
        for folder, artifact in zip(folders, artifacts, strict=True):
            for one in folder.pictures:
                anchor = exhibits.anchor(folder.key, one)
                if not anchor or not fnmatchcase(f"{folder.key}:{one.group}:{one.title}", pattern):
                    continue
                shown = _pair(picture(one, exhibits, artifact), anchor, artifact)
                if shown and len(shown.image.embedded.uri) + len(shown.map.embedded.uri) <= room:
                    return shown
    return None


def _pair(figure: Picture, anchor: str, artifact: Artifact) -> Overlay | None:
    image = next((view for view in figure.views if view.kind == "image"), None)
    map_ = next((view for view in figure.views if view.kind == "map"), None)
    if image is None or map_ is None:
        return None
    says = f"The lighter a pixel of the map ({map_.title}), the more the score depends on it. Score: {figure.title}"
    return Overlay(image, map_, f"{says}. {artifact.name}", anchor)


def papers(rows: Sequence[Mapping[str, str]], references: Mapping[str, str]) -> list[Paper]:
    """The verdicts on the claims of each paper, the most decided first; a claim belongs to the first paper it names."""
    members: dict[str, Counter[str]] = {}
    for one in rows:
        places = {name: place for name in references if (place := (one.get("source") or "").find(name)) >= 0}
        name = min(places, key=lambda name: places[name], default=OURS)
        members.setdefault(name, Counter())[one["verdict"]] += 1
    decided = {name: sum(own[verdict] for verdict in DECIDED) for name, own in members.items()}
    order = sorted(members, key=lambda name: (name == OURS, -decided[name], -members[name].total(), name))
    return [
        Paper(
            name,
            references.get(name, ""),
            [(words, tone(verdict), members[name][verdict]) for verdict, words in VERDICTS.items()],
            decided[name],
        )
        for name in order
    ]
