"""Data sets of one's own: images and labels in the layouts that people and tools write."""
