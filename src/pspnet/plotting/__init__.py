"""The style of figures: colors, sizes, fonts for names of any script, legends, saving."""
