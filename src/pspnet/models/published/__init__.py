"""Networks with published weights: files, key maps, and the settings they imply."""
