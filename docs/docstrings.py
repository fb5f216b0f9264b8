"""Docstrings for the site, for griffe: examples as code, wherever they are."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^(?: *>>> .*\n?)(?:(?! *$).*\n?)*", re.MULTILINE)


class Examples(griffe.Extension):
    """Fences lines that begin with `>>>`, up to the next blank one."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of an object that was read."""
        if obj.docstring:
            obj.docstring.value = _EXAMPLE.sub(
                lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", obj.docstring.value
            )
