"""Figures from records: no computation, no saving."""
