"""What the stage `invert` computes: networks that reconstruct images from features, and their errors."""
