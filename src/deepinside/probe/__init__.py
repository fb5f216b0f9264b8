"""Looking inside a network, as `with` blocks: activations, the backward rule of its ReLUs, receptive fields.

Nothing stays switched on when a block ends, not even after an error.
"""

from deepinside.probe.activations import activations, capture
from deepinside.probe.receptive_field import ReceptiveField, receptive_fields
from deepinside.probe.rule import RULES, UndefinedRule, check_ruled, graph, relu_rule

__all__ = [
    "RULES",
    "ReceptiveField",
    "UndefinedRule",
    "activations",
    "capture",
    "check_ruled",
    "graph",
    "receptive_fields",
    "relu_rule",
]
