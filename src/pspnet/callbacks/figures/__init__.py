"""Figures of a run: curves, IoU per class, confusion matrix, predictions beside the target."""
