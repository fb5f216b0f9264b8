"""Standard output: tables for people, plain aligned columns for programs."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def say(*lines: str) -> None:
    """Writes lines as they are, whatever the width of the terminal."""
    for line in lines:
        sys.stdout.write(f"{line}\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Writes a table: framed on a terminal, otherwise aligned columns two spaces apart; `right` are flush right."""
    if not sys.stdout.isatty():
        say(*aligned([columns, *rows], [name in right for name in columns]))
        return
    framed = Table(header_style="bold", expand=False)
    for position, name in enumerate(columns):
        last = position == len(columns) - 1
        framed.add_column(name, justify="right" if name in right else "left", no_wrap=not last, overflow="fold")
    for row in rows:
        framed.add_row(*map(Text, row))
    Console(highlight=False).print(framed)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Rows as lines with columns two spaces apart; `right` states for each column whether it is flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = (
        (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        )
        for row in rows
    )
    return ["  ".join(row).rstrip() for row in cells]
