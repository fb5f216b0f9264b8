"""The page as one file of HTML: escaped, with its own style and script, and a policy that allows nothing else."""

import base64
import hashlib
import re
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

from deepinside.report.page import Page

SCRIPTS = ("page.js", "browse.js")
_TEMPLATES = resources.files("deepinside.report") / "templates"


def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy: no network, no frames, no forms; this style, this script, embedded pictures.

    Args:
        style: content of the only style element.
        script: content of the only script element.

    Returns:
        The value of the meta element.
    """
    return (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def render(page: Page) -> str:
    """The page as HTML.

    Args:
        page: what it shows.

    Returns:
        A complete document without a link to anything that must be loaded.
    """
    style, script = _source("style.css"), "\n".join(map(_source, SCRIPTS))
    template = _environment(escape=True).get_template("index.html")
    return template.render(page=page, style=style, script=script, policy=policy(style, script))


def written(page: Page) -> str:
    """The page as Markdown, without its pictures.

    Args:
        page: what it shows.

    Returns:
        Text for a paper, an issue or the log of a CI run.
    """
    lines = _environment(escape=False).get_template("report.md").render(page=page)
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"


def _environment(*, escape: bool) -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = plain
    return environment


def plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line.

    Args:
        text: any.

    Returns:
        The same with its special characters escaped.
    """
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(str(text).split()))
