"""The start of a run: a checkpoint, given weights, another training, or its own last step."""
