"""The miniature world: small drawn pictures of which every box, mask, part, colour, texture and scene is known."""

from deepinside.data.miniature.broden_folder import write_broden as write_broden
from deepinside.data.miniature.ceilings import ceiling as ceiling
from deepinside.data.miniature.ceilings import read_ceilings as read_ceilings
from deepinside.data.miniature.compose import World as World
from deepinside.data.miniature.ilsvrc_tree import write_ilsvrc as write_ilsvrc
