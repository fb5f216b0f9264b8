"""Glue between configuration, artifacts and the numeric code, one module a stage."""
