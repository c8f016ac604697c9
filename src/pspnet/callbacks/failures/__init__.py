"""The failures of an evaluation: a table of all images, and a page of the worst."""
