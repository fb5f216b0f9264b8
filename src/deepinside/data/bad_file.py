"""What is wrong with one input file, in words that name it and say what to do."""

from pathlib import Path

from deepinside.digests import readable

_LONGEST = 300  # characters of a file's own words in a message; csv readers give up at 131,072


class BadFile(ValueError):
    """One file that cannot be used; a long run sets it aside and goes on.

    Args:
        path: of the file.
        expected: what should have been there.
        came: what was there instead.
        mend: what to do about it.
    """

    def __init__(self, path: Path, expected: str, came: str, mend: str) -> None:
        self.path, self.came = path, brief(came)
        # without the path: artifacts name no machine's folders
        self.reason = readable(f"expected {expected}, got {self.came}: {mend}")
        super().__init__(f"{readable(str(path))}: {self.reason}")

    def row(self, root: Path) -> tuple[str, str]:
        """The row of `set_aside.csv`.

        Args:
            root: of the data, which the file lies in.

        Returns:
            The file as a posix path relative to the root, and the reason.
        """
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else Path(self.path.name)
        return readable(path.as_posix()), self.reason


def brief(text: str) -> str:
    """What a file says, short enough to be quoted.

    Args:
        text: of any length.

    Returns:
        The text, or its beginning and its length.
    """
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def check_name(path: Path, name: str) -> None:
    """Refuses a file that tables and JSON could not name.

    Args:
        path: of the file.
        name: that it would get there.

    Raises:
        BadFile: if the name is not UTF-8.
    """
    if readable(name) != name:
        raise BadFile(path, "a file name in UTF-8", name, "rename it")
