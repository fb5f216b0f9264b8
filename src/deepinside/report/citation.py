"""How to cite the software that made the artifacts."""

from collections.abc import Iterable, Sequence

from deepinside.report.folder import Folder
from deepinside.report.page import Citation

_TITLE = "deepinside: see what is inside convolutional networks, reproducibly"  # as in CITATION.cff


def citation(folders: Sequence[Folder]) -> Citation:
    """Version and commit that the manifests record, several if the artifacts were made by several."""
    versions = (folder.record.get("versions") for folder in folders)
    version = _listed(one.get("deepinside") for one in versions if isinstance(one, dict))
    commit = _listed(folder.record.get("commit") for folder in folders)
    fields = {
        "title": f"{{{_TITLE}}}",
        "author": "{The deepinside developers}",
        "version": version,
        "note": f"commit {commit}" if commit else "",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return Citation(version, commit, "\n".join(("@software{deepinside,", *lines, "}")))


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(one) for one in values if one))
