"""The synthetic data set: small generated images with known boxes, masks, parts, colours, textures and scenes."""

from deepinside.miniature.broden_folder import read_ceilings as read_ceilings
from deepinside.miniature.broden_folder import write_broden as write_broden
from deepinside.miniature.compose import World as World
from deepinside.miniature.ilsvrc_tree import write_ilsvrc as write_ilsvrc
