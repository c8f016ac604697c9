"""Data sets, their classes, augmentation and loading; knows no model."""
