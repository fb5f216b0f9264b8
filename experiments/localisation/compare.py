"""Paired differences between two artifacts of `run=localise` on the same photographs.

    python experiments/localisation/compare.py outputs/localise/FIRST outputs/localise/SECOND FOLDER

Writes FOLDER/table.csv: what the first gains over the second, in percentage points, with intervals over images.
"""

import sys
from pathlib import Path

from deepinside.localisation.tables import paired

if __name__ == "__main__":
    first, second, folder = map(Path, sys.argv[1:4])
    folder.mkdir(parents=True, exist_ok=True)
    paired(first, second).write(folder)
