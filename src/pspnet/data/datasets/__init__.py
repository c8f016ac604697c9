"""Data sets on disk, and the base class for others."""
