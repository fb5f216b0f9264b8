"""Artifacts: folders named by the fingerprint of their inputs, their digests, and what is shown of them."""
