"""Images with labels, boxes and masks, from disk or drawn."""
