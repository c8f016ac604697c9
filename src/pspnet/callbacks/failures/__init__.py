"""Where an evaluation fails: a table of all images, and a page of the worst."""
