"""From a saliency map to a box, and how wrong the box is."""
