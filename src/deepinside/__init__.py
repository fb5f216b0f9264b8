"""See what is inside convolutional networks, reproducibly."""
