"""The self-contained web page."""
