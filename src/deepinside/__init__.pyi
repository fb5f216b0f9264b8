from deepinside.api.functions import dissect, invert, localise, maximise, saliency, show
from deepinside.api.loading import load
from deepinside.probe import capture, relu_rule

__all__ = [
    "__version__",
    "capture",
    "dissect",
    "invert",
    "load",
    "localise",
    "maximise",
    "relu_rule",
    "saliency",
    "show",
]

__version__: str
