"""What the configuration says, made into the objects that do it."""
