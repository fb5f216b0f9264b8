"""Networks: the paper's own, pretrained ones, and how ours is trained."""
