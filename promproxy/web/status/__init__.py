"""``/``: the page for people. Plain HTML, made here, that works without a script.

`query` says what is asked for and finds it among the targets, `page` and `tables` write it down in
`html` with the numbers as `words` has them, `style.css` says how it looks, and `resource` answers.
"""
