"""From a saliency map to a box, and the errors of the box."""
