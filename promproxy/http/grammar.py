"""The parts of HTTP's grammar that more than one parser needs, as pieces of patterns."""

from __future__ import annotations

#: RFC 9110, section 5.6.2: methods, field names, authentication schemes.
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: RFC 9110, section 5.5: visible bytes, spaces and tabs.
FIELD_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
#: RFC 9112, section 5: no space before the colon, no folded line, no bare CR or LF.
FIELD_LINE = TOKEN + rb":" + FIELD_VALUE + rb"\r\n"
