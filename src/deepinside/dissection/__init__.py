"""Which concept each unit detects (Bau et al. 2017)."""
