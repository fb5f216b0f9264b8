"""The miniature world: small drawn pictures of which every box, mask, part, colour, texture, material and scene is known."""

from deepinside.data.miniature.compose import World as World
from deepinside.data.miniature.ilsvrc_tree import write_ilsvrc as write_ilsvrc
