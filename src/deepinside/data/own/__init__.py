"""One's own pictures with outlined concepts, turned into Broden's format."""

from deepinside.data.own.coco import write_coco
from deepinside.data.own.masks import write_masks
from deepinside.data.own.voc import write_voc

__all__ = ["write_coco", "write_masks", "write_voc"]
