"""Networks: the paper's own and pretrained ones, and their training."""
