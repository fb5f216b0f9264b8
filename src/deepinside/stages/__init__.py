"""Glue between configuration, artifacts and numeric code, one module per stage."""
