"""``/``: the page for people. Plain HTML, made here, that works without a script.

`query` says what is asked for, `selection` finds it among the targets, `page` and what it imports
writes it down, and `resource` answers the request.
"""
