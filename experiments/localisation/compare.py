"""Numbers of two artifacts of `run=localise` on the same photographs, and what the second gains over the first.

    python experiments/localisation/compare.py simonyan2013=outputs/localise/FIRST best=outputs/localise/SECOND OUT.csv

Gains are in percentage points, photograph by photograph, with intervals over photographs.
"""

import csv
import math
import sys
from pathlib import Path

from deepinside.localisation.tables import paired
from deepinside.records import Row, Table

COLUMNS = ("way", "metric", "value", "unit", "n", "ci_low", "ci_high", "artifact")


def cells(way: str, row: Row, artifact: str) -> list[str]:
    """A line of the table."""
    value, low, high = (
        "" if math.isnan(number) else f"{number:.6g}" for number in (row.value, row.ci_low, row.ci_high)
    )
    return [way, row.metric, value, row.unit, str(row.n), low, high, artifact]


def main() -> None:
    """Writes the table."""
    (first, one), (second, other) = (word.split("=", 1) for word in sys.argv[1:3])
    folders = {name: Path(folder).resolve() for name, folder in ((first, one), (second, other))}
    with open(sys.argv[3], "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, folder in folders.items():
            writer.writerows(cells(name, row, f"localise/{folder.name}") for row in Table.read(folder).rows)
        gain = paired(folders[second], folders[first])
        writer.writerows(cells(f"{second} over {first}", row, "") for row in gain.rows)


if __name__ == "__main__":
    main()
