"""The web tree: one resource per module, joined in `root`."""
