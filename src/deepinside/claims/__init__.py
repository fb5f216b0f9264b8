"""The register of claims: statements of the papers, the numbers that test them, and the verdicts."""
