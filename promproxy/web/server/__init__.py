"""The server's side of HTTP, whatever the page: from a connection to a request and its answer.

===============  ==========================================================================
``site``         what is served, and to whom; makes a channel for each connection
``channel``      one connection: reads requests, sends answers, and waits for nobody too long
``head``         a request's head, taken apart and judged
``absolute``     requests that name another host, as a proxy gets them
``body``         a request's body, read when somebody wants it
``request``      one request and its answer
``peer``         who is at the other end of a connection
``tls``          TLS toward callers
``connections``  how many there may be, and which go first
===============  ==========================================================================
"""
