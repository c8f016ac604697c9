"""Benchmarks: this package beside the published formulation, measured in turns in one run."""
