"""Merged scrapes: one request answers the labelled metrics of many targets. Opt-in.

=============  ===========================================================================
``selection``  which targets a request asks for, in which order, with which labels (pure)
``blocks``     one target's block of the answer (pure)
``body``       a target's body, decoded, within limits
``budget``     how much may be held for one answer
``fetch``      asks one target
``answer``     the flow: asks all of them, and writes each block as it is there
``metrics``    what is counted
``resource``   the page
=============  ===========================================================================

Rules, from which everything else follows:

1. A block is validated whole before a byte of it is sent: one bad line makes Prometheus discard the
   whole answer.
2. Every selected target has its block, and in it an ``up`` of its own.
3. An answer that is not whole never ends cleanly.
4. What is held is bounded: a target is asked only while the caller reads, and its slot is free
   again only once its block was written.
"""
