"""The sections of a run: each says what is compared, and `benchmarks.compare` measures it."""
