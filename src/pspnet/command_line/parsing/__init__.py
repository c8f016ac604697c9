"""What a command line says: words, options, their help and their refusals."""
