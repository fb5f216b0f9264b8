"""The miniature world: small drawn pictures of which every box, mask, part, colour, texture and scene is known."""

from deepinside.miniature.broden_folder import read_ceilings as read_ceilings
from deepinside.miniature.broden_folder import write_broden as write_broden
from deepinside.miniature.compose import World as World
from deepinside.miniature.ilsvrc_tree import write_ilsvrc as write_ilsvrc
