"""Random input against everything that takes input from outside: ``python -m tests.fuzz``."""
