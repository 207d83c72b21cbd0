"""How we ask: one agent per profile, from request bytes to a streamed answer.

===============  ==========================================================================
``origin``       where a request goes: the target's origin, router override, HTTP proxy
``networks``     IP networks, and which addresses they hold
``no_proxy``     which hosts are asked without the HTTP proxy
``request``      a request head as bytes
``pool``         which idle connection to hand out, which to close (pure, no sockets)
``response``     the answer: ``IResponse`` and ``IPushProducer`` in one
``connection``   the Twisted protocol of one upstream connection
``tls``          TLS contexts shared by all hosts of a profile, sessions kept for resumption
``http_proxy``   CONNECT through an HTTP proxy, as a Twisted endpoint
``connect``      opens connections and names what went wrong
``agent``        joins all of these
``guard``        hosts that others named, and denied addresses
``oauth2``       how a token is asked for
``tokens``       keeps tokens, renews them, shows them
``client``       what scrapes are sent by: a target becomes a request of its profile
``fetch``        one request to an API, its whole answer in memory
``document``     a document of another server, asked for again and again
===============  ==========================================================================
"""
