"""How we are asked: from a connection to a request, who sent it, and its answer.

=================  ========================================================================
``site``           what is served, and to whom; makes a channel for each connection
``channel``        one connection: reads requests, sends answers, enforces time-outs
``head``           a request's head, parsed and judged
``absolute``       requests that name another host, as a proxy gets them
``body``           a request's body, read on demand
``request``        one request and its answer
``answers``        short plain answers
``peer``           who is at the other end of a connection
``tls``            TLS toward callers
``connections``    how many there may be, and which are closed first
``gate``           lets a request in, or refuses it
``access``         permissions, roles, and which pages they open
``passwords``      bcrypt users, checked in threads of their own
``bearer_tokens``  tokens of roles
=================  ========================================================================
"""
