"""The configuration: its schema, and how a YAML file becomes an instance of it."""
