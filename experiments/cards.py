"""Writes one card per claim from an artifact of `run=claims`, and checks that cards say what their artifact says.

python experiments/cards.py outputs/claims/latest ...   writes experiments/<paper>/<claim>.md, claims.csv and
                                                        identities.csv; of several artifacts the first that measured
                                                        a row counts; what none measured stays as the table has it
python experiments/cards.py --check [outputs]           compares cards with claims.csv, and with the artifact if there
"""

import csv
import json
import re
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from deepinside.claims.verdict import after_holm, family

HERE = Path(__file__).resolve().parent
TABLE, IDENTITIES = "claims.csv", "identities.csv"


def paper(rows: list[dict]) -> str:
    """The folder of a claim: that of the first work, or of the survey with the papers that it surveys."""
    return "simonyan2013" if "Simonyan" in rows[0]["source"] else "qin2018"


def number(row: dict) -> str:
    """Value, interval and n as a card shows them."""
    if not row["value"]:
        return ""
    return f"{row['value']} [{row['ci_low']}, {row['ci_high']}], n = {row['n']}"


def line(row: dict) -> str:
    """One row of a card's table."""
    null = " ".join(filter(None, (row.get("null"), f"({row['null_value']})" if row.get("null_value") else "")))
    where = ", ".join(filter(None, (row["world"], row.get("network"))))
    cells = (row["id"], where, row["verdict"], number(row), null, row["unit"], row["rule"], row["verdict_holm"])
    return f"| {' | '.join(cells)} |"


def run(artifact: str, record: dict) -> str:
    """How an artifact was made, one line of a card."""
    command = f"deepinside {' '.join(record.get('command', []))}"
    commit = record.get("commit") or "unknown"
    return f"* `{artifact}`: `{command}`, commit {commit}, {record['seconds']:g} s, {record.get('device', 'cpu')}"


def card(name: str, rows: list[dict], made: dict[str, str]) -> str:
    """The text of a card.

    Args:
        name: of the claim.
        rows: of `claims.csv`, all its numbers on all data sets.
        made: artifact -> how.

    Returns:
        Markdown.
    """
    first = rows[0]
    parts = [f"# {name}: {first['statement']}", f"{first['source']}. Evidence tag: {first['tag']}."]
    for identity, group in groupby(rows, key=lambda row: row["id"]):
        one = next(iter(group))
        parts.append(
            f"**{identity}** {one['metric'] or 'no measurement yet'}. Predicted: {one['predicted']}. "
            f"Had it been false: {one['otherwise']}."
            + (" Figures of this kind had been seen before the rule." if one["seen"] == "yes" else "")
        )
    head = (
        "| number | data set, network | verdict | difference | from the null (its value) | unit | rule | after Holm |"
    )
    head += "\n|---|---|---|---|---|---|---|---|"
    parts.append("\n".join([head, *map(line, rows)]))
    lacking = {f"{row['id']}, {row['world']}: {row['needs']}" for row in rows if row["needs"]}
    if lacking:
        parts.append("Without a verdict, because of:\n\n" + "\n".join(f"* {text}" for text in sorted(lacking)))
    named = dict.fromkeys(word for row in rows for word in row["artifact"].split())
    runs = [made[word] for word in named if word in made]
    if runs:
        parts.append("Made from:\n\n" + "\n".join(runs))
    return "\n\n".join(parts) + "\n"


def read(path: Path) -> list[dict]:
    """The rows of a table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save(rows: list[dict], path: Path, columns: Sequence[str]) -> None:
    """Writes a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def grouped(rows: list[dict]) -> dict[str, list[dict]]:
    """Rows by claim, C07.tv with C07."""
    rows = sorted(rows, key=lambda row: row["id"])
    return {name: list(group) for name, group in groupby(rows, key=lambda row: row["id"].partition(".")[0])}


def joined(tables: list[list[dict]]) -> list[dict]:
    """Their rows, one per number and world: of several the first that was measured, by the rule of the first table."""
    rows: dict[tuple[str, str], dict] = {}
    for row in (row for table in tables for row in table):
        mine = rows.setdefault((row["id"], row["world"]), row)
        if (
            row["value"]
            and not mine["value"]
            and all(row[word] == mine[word] for word in ("statement", "rule", "null"))
        ):
            rows[row["id"], row["world"]] = row
    return adjusted(list(rows.values()))


def adjusted(rows: list[dict]) -> list[dict]:
    """The same rows with `verdict_holm` over all of them, one family of worlds after the other."""
    out = [dict(row) for row in rows]
    for name in {family(row["world"]) for row in rows}:
        mine = [row for row in out if family(row["world"]) == name]
        left = after_holm([row["verdict"] for row in mine], [float(row["p_value"] or "nan") for row in mine])
        for row, verdict in zip(mine, left, strict=True):
            row["verdict_holm"] = verdict
    return out


def written(folder: Path) -> dict[str, str]:
    """Artifact -> how it was made, from the cards of a folder."""
    cards = (path.read_text(encoding="utf-8") for path in folder.glob("*/*.md"))
    lines = (found for text in cards for found in re.finditer(r"^\* `([a-z]+/[0-9a-f]+)`: .*$", text, re.MULTILINE))
    return {found[1]: found[0] for found in lines}


def write(artifacts: list[Path], folder: Path = HERE) -> int:
    """Writes the cards of some artifacts, and keeps what others wrote before.

    Args:
        artifacts: of `run=claims`, each beside those that it was made from.
        folder: where to; rows of its table that have no null, of an earlier register, are dropped.

    Returns:
        How many.
    """
    before = [row for row in (read(folder / TABLE) if (folder / TABLE).exists() else []) if "null" in row]
    rows = sorted(joined([*(read(artifact / TABLE) for artifact in artifacts), before]), key=lambda row: row["id"])
    save(rows, folder / TABLE, list(rows[0]))
    checks = [row for artifact in artifacts for row in read(artifact / IDENTITIES) if row["holds"]]
    if checks:
        save(checks, folder / IDENTITIES, list(checks[0]))
    claims = grouped(rows)
    made = written(folder)
    for word in {word for row in rows for word in row["artifact"].split()}:
        places = (artifact.resolve().parents[1] / word / "manifest.json" for artifact in artifacts)
        for place in (place for place in places if place.exists()):
            made[word] = run(word, json.loads(place.read_text(encoding="utf-8"))["record"])
    for path in folder.glob("*/[CFPS][0-9][0-9].md"):
        if path.stem not in claims:
            path.unlink()
    for name, rows in claims.items():
        place = folder / paper(rows)
        place.mkdir(exist_ok=True)
        (place / f"{name}.md").write_text(card(name, rows, made), encoding="utf-8")
    return len(claims)


def check(folder: Path = HERE, outputs: Path | None = None) -> list[str]:
    """What cards say that their table, or the artifacts themselves, do not.

    Args:
        folder: of the cards.
        outputs: where artifacts may be; missing ones are ignored.

    Returns:
        One line per problem.
    """
    problems = []
    for name, rows in grouped(read(folder / TABLE)).items():
        path = folder / paper(rows) / f"{name}.md"
        text = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        problems += [f"{path.name}: expected {line(row)}" for row in rows if line(row) not in text]
        for row in rows:
            if row["metric"] and row["value"] and outputs and " " not in row["artifact"]:
                problems += _differs(row, outputs / row["artifact"] / "table.csv")
    return problems


def _differs(row: dict, table: Path) -> list[str]:
    if not table.exists():
        return []
    values = {line["metric"]: line["value"] for line in read(table)}
    said = values.get(row["metric"])
    # The number of a row is that of the table, or its difference from the null.
    known = [] if said is None else [float(said), float(said) - float(row["null_value"] or 0)]
    if said is None or any(abs(number - float(row["value"])) < 1e-5 * abs(float(said)) for number in known):
        return []
    return [f"{row['id']}: {row['value']} on the card, {said} in {row['artifact']}"]


def main(write: Callable[[list[Path]], int], check: Callable[..., list[str]]) -> None:
    """Writes cards from the artifacts that the command line names, or checks them."""
    words = [Path(word) for word in sys.argv[1:]]
    if sys.argv[1:2] != ["--check"]:
        print(f"{write(words)} cards")
        return
    found = check(outputs=words[1] if len(words) > 1 else None)
    print("\n".join(found) or "every card says what its artifact says")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(write, check)
