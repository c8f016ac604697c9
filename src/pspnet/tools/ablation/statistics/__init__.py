"""Differences between settings: tests over seeds, their power, early stopping, plans."""
