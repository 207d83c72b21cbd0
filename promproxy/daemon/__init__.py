"""A configuration becomes what runs; the only reader of it as a whole."""
