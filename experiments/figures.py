"""Writes one card per figure or table of the papers: our image, and our numbers beside the published ones.

python experiments/figures.py outputs/report/latest ...    a report stands for all that it was made from; of several
                                                           artifacts the first that has what a card asks for counts
python experiments/figures.py --check [outputs]            compares cards with figures.csv, and with artifacts at hand

figures.yaml says what each shows, which images and numbers it takes, and what was published. A card that no artifact
can fill stays as it is.
"""

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from cards import main, read, run, save
from omegaconf import OmegaConf
from PIL import Image

HERE = Path(__file__).resolve().parent
TABLE = "figures.csv"
COLUMNS = ("paper", "card", "metric", "value", "unit", "n", "ci_low", "ci_high", "published", "artifact")
WIDTH, QUALITY = 800, 70  # of a card's image


def made_from(artifacts: list[Path]) -> Iterator[tuple[str, Path]]:
    """Key and folder of the artifacts, and of those that reports among them were made from."""
    for artifact in artifacts:
        folder = artifact.resolve()
        yield folder.parent.name, folder
        if folder.parent.name == "report":
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            for key, name in manifest["made_from"]["inputs"].items():
                yield key, folder.parents[1] / key.partition(".")[0] / name


def pictures(folder: Path, patterns: list[str]) -> list[dict]:
    """The first image of an artifact for each pattern; none at all if one has none."""
    known = read(folder / "pictures.csv") if (folder / "pictures.csv").exists() else []
    found = [
        next((row for row in known if fnmatch(f"{row['group']}:{row['title']}", pattern)), None) for pattern in patterns
    ]
    return [row for row in found if row] if all(found) else []


def rows(paper: str, name: str, card: dict, folder: Path) -> list[dict]:
    """The numbers of a card from an artifact; none at all if one is missing."""
    known = {row["metric"]: row for row in read(folder / "table.csv")}
    if not known.keys() >= card["numbers"].keys():
        return []
    artifact = f"{folder.parent.name}/{folder.name}"
    return [
        {key: known[metric].get(key, "") for key in COLUMNS}
        | {"paper": paper, "card": name, "metric": metric, "published": said or "", "artifact": artifact}
        for metric, said in card["numbers"].items()
    ]


def filled(paper: str, name: str, card: dict, known: list[tuple[str, Path]]) -> Iterator[tuple[Path, list, list]]:
    """The artifacts that have all that a card asks for, with its numbers and images."""
    for folder in (folder for key, folder in known if f"{key}.".startswith(f"{card['from']}.")):
        numbers, shown = rows(paper, name, card, folder), pictures(folder, card["pictures"])
        if bool(numbers) == bool(card["numbers"]) and bool(shown) == bool(card["pictures"]):
            yield folder, numbers, shown


def line(row: dict) -> str:
    """One row of a card's table."""
    value, low, high = (f"{float(row[key]):.3g}" if row[key] else "" for key in ("value", "ci_low", "ci_high"))
    ours = f"{value} [{low}, {high}]" if low and high else value
    return f"| {row['metric']} | {ours} | {row['unit']} | {row['n']} | {row['published']} |"


def text(card: dict, numbers: list[dict], shown: list[dict], image: str, made: str) -> str:
    """A card in Markdown."""
    parts = [f"# {card['title']}", card["shows"]]
    if shown:
        parts += [f"![{card['title']}]({image})", "\n".join(f"* {row['title']}: {row['caption']}" for row in shown)]
    if numbers:
        head = "| number | ours, 95 % interval | unit | n | published |\n|---|---|---|---|---|"
        parts.append("\n".join([head, *map(line, numbers)]))
    return "\n\n".join([*parts, f"What differs: {card['differs']}", f"Made from:\n\n{made}"]) + "\n"


def joined(folder: Path, shown: list[dict], path: Path) -> None:
    """Saves an artifact's images one below the other."""
    parts = [Image.open(folder / row["file"]).convert("RGB") for row in shown]
    parts = [
        part.resize((WIDTH, round(part.height * WIDTH / part.width))) if part.width > WIDTH else part for part in parts
    ]
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    for number, part in enumerate(parts):
        sheet.paste(part, (0, sum(above.height for above in parts[:number])))
    sheet.save(path, quality=QUALITY, method=6)


def write(artifacts: list[Path], folder: Path = HERE) -> int:
    """Writes the cards that some artifacts fill.

    Args:
        artifacts: reports, or of single stages.
        folder: with figures.yaml; where to.

    Returns:
        How many.
    """
    kept = read(folder / TABLE) if (folder / TABLE).exists() else []
    known, count = list(made_from(artifacts)), 0
    for paper, cards in OmegaConf.to_container(OmegaConf.load(folder / "figures.yaml")).items():
        for name, card in cards.items():
            found = next(filled(paper, name, card, known), None)
            if found is None:
                continue
            source, numbers, shown = found
            place = folder / paper
            place.mkdir(exist_ok=True)
            record = json.loads((source / "manifest.json").read_text(encoding="utf-8"))["record"]
            made = run(f"{source.parent.name}/{source.name}", record)
            if shown:
                joined(source, shown, place / f"{name}.webp")
            (place / f"{name}.md").write_text(text(card, numbers, shown, f"{name}.webp", made), encoding="utf-8")
            kept = [*(row for row in kept if (row["paper"], row["card"]) != (paper, name)), *numbers]
            count += 1
    save(sorted(kept, key=lambda row: (row["paper"], row["card"])), folder / TABLE, COLUMNS)
    return count


def check(folder: Path = HERE, outputs: Path | None = None) -> list[str]:
    """What cards say that their table, or the artifacts themselves, do not.

    Args:
        folder: of the cards.
        outputs: where artifacts may be; missing ones are ignored.

    Returns:
        One line per problem.
    """
    problems = []
    for row in read(folder / TABLE):
        card = folder / row["paper"] / f"{row['card']}.md"
        if not card.exists() or line(row) not in card.read_text(encoding="utf-8").splitlines():
            problems.append(f"{card.name}: expected {line(row)}")
        table = outputs / row["artifact"] / "table.csv" if outputs else None
        if table and table.exists():
            said = {one["metric"]: one["value"] for one in read(table)}.get(row["metric"])
            if said != row["value"]:
                problems.append(f"{card.name}: {row['metric']} is {row['value']} there, {said} in {row['artifact']}")
    return problems


if __name__ == "__main__":
    main(write, check)
