"""The outbound side: one agent per profile, from request bytes to a streamed answer.

=================  ==========================================================================
``origin``         where a request goes: the target's origin, router override, HTTP proxy
``request``        a request head as bytes
``head``           a complete answer head, parsed and judged
``bodies``         the three ways a body is framed
``framing``        bytes of a connection -> head, body, end (pure, no sockets)
``pool``           which idle connection to hand out, which to close (pure, no sockets)
``response``       the answer: ``IResponse`` and ``IPushProducer`` in one
``direct``         sends at once on plain TCP, past a turn of the reactor
``connection``     the Twisted protocol of one upstream connection
``tls``            TLS contexts shared by all hosts of a profile, sessions kept for resumption
``tunnel``         CONNECT through an HTTP proxy, as a Twisted endpoint
``connect``        opens connections and names what went wrong
``agent``          joins all of these
``guard``          hosts that others named, and denied addresses
``oauth2``         how a token is asked for
``tokens``         keeps tokens, renews them, shows them
``outbound``       what scrapes are sent by: a target becomes a request of its profile
``fetch``          one request to an API, its whole answer in memory
``document``       a document of another server, asked for again and again
=================  ==========================================================================
"""
