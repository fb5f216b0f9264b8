"""See what is inside convolutional networks, reproducibly.

>>> import deepinside as di
>>> from skimage.data import chelsea
>>> network = di.load("efficientnet_lite0")
>>> cat = di.saliency(network, chelsea(), target="tabby", rule="guided")
>>> figure = di.show(cat)
"""

import importlib
from typing import Any

# Where each name is defined: nothing is imported before it is used, for torch takes seconds. Types are in __init__.pyi.
_HOMES = {
    "capture": "deepinside.probe",
    "dissect": "deepinside.api.functions",
    "invert": "deepinside.api.functions",
    "load": "deepinside.api.loading",
    "localise": "deepinside.api.functions",
    "maximise": "deepinside.api.functions",
    "relu_rule": "deepinside.probe",
    "saliency": "deepinside.api.functions",
    "show": "deepinside.api.functions",
}
__all__ = ["__version__", *_HOMES]  # ruff: ignore[undefined-export]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("deepinside")
    if name not in _HOMES:
        raise AttributeError(f"module 'deepinside' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
