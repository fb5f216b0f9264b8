"""Record in, Figure out: no computing, no saving."""
