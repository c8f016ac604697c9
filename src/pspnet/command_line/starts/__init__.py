"""What a run starts from: a checkpoint, given weights, another training, or its own last step."""
