"""One image through figure 3: its maps at every stage of a network, on a page."""
