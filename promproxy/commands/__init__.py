"""The subcommands of ``promproxy``: one module each, with its arguments and what it does.

Each has a function ``add`` that adds its parser; the parser's default ``run`` takes the parsed
arguments and the reactor, and returns the exit status.
"""
