"""The wire format of HTTP, which both sides share.

===============  ==========================================================================
``grammar``      the tokens and field lines that parsers share
``head``         a complete answer head, and how its body is framed
``bodies``       the three ways a body is framed
``framing``      bytes of a connection -> head, body, end (pure, no sockets)
``forwarding``   which header fields pass a proxy, in both directions
``collector``    a body in memory, up to a size
``direct``       sends at once on plain TCP, past a turn of the reactor
===============  ==========================================================================
"""
