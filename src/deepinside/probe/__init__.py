"""Looking inside a network, as `with` blocks: activations, the backward rule of its ReLUs, receptive fields.

Nothing stays switched on when a block ends, not even after an error.
"""

from deepinside.probe.activations import activations, capture
from deepinside.probe.back_projection import UNPOOL, back_project
from deepinside.probe.contrast import CONTRAST_RULES, contrast_rule
from deepinside.probe.layers import before_scores, convolutional, last_maps
from deepinside.probe.receptive_field import ReceptiveField, receptive_fields
from deepinside.probe.rule import RULES, UndefinedRule, check_ruled, graph, redirected, relu_rule

__all__ = [
    "CONTRAST_RULES",
    "RULES",
    "UNPOOL",
    "ReceptiveField",
    "UndefinedRule",
    "activations",
    "back_project",
    "before_scores",
    "capture",
    "check_ruled",
    "contrast_rule",
    "convolutional",
    "graph",
    "last_maps",
    "receptive_fields",
    "redirected",
    "relu_rule",
]
