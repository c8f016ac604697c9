"""Words and options of the command line, their help and their refusals."""
