"""The report: its sections, their tables and the folder that they are written to."""
