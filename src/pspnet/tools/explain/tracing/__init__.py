"""Receptive fields of all tensors of a forward pass, by rules for its operations."""
