"""Text files and tables of foreign data sets: whatever is in them, the error names the file."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from deepinside.data.bad_file import BadFile

MAX_BYTES = 2**26  # three times the index of Broden at 384 pixels, the largest table of a known data set


def read_text(path: Path, errors: str = "strict", mend: str = "fetch the file again") -> str:
    """A text file in UTF-8.

    Args:
        path: of the file.
        errors: what becomes of bytes that are no UTF-8, as in `bytes.decode`.
        mend: what to do about a bad one.

    Returns:
        Its text, line ends as they are.

    Raises:
        BadFile: if it has more than `MAX_BYTES` bytes or is no text.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise BadFile(path, f"a text of at most {MAX_BYTES} bytes", f"{size}", mend)
    try:
        return path.read_bytes().decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise BadFile(path, "text in UTF-8", f"{error.reason} at byte {error.start}", mend) from error


def read_table(
    path: Path, columns: Sequence[str], errors: str = "strict", mend: str = "fetch the file again"
) -> list[dict[str, str]]:
    """The rows of a table, by the names in its header.

    Args:
        path: of the csv file.
        columns: that it must have.
        errors: what becomes of bytes that are no UTF-8.
        mend: what to do about a bad one.

    Returns:
        One dictionary per row; a short row has empty cells.

    Raises:
        BadFile: if it is no table in UTF-8, or a column is missing.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, errors, mend), newline=""), restval="")
    expected = f"columns {','.join(columns)}"
    try:
        known = list(reader.fieldnames or ())
        if missing := [column for column in columns if column not in known]:
            raise BadFile(path, expected, f"{known}: {','.join(missing)} missing", mend)
        return list(reader)
    except csv.Error as error:
        raise BadFile(path, expected, f"line {reader.line_num}: {error}", mend) from error
