"""The register of claims: what the papers say, the number that tests it, and the verdict."""
