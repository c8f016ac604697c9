"""The built-in data set of synthetic scenes, whose classes depend on the context."""
