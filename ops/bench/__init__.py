"""Benchmarks: each measures the product next to its baselines in one run, and gives ratios, which hold elsewhere."""
