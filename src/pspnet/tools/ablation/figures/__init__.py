"""Figures of an ablation report."""
