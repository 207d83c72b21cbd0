"""Tests of the manual in ``docs/``.

It is Markdown that is read as it stands, on the forge or in an editor, so there is no build that
could warn. What a strict build would warn of is found here, and more: links and anchors that lead
nowhere, odd headings and tables, pages that the index lacks, and every example that is wrong.
"""
