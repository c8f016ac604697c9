"""What differences between settings mean: tests over seeds, their power, early stopping, plans."""
