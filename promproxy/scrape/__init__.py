"""The second flow: a request for one target becomes a request to it.

============  ============================================================================
``resource``  the flow itself, top to bottom
``attempt``   one scrape under way, and why it failed
``caller``    what the target gets of the caller's header fields
``limits``    how long a scrape may take, and how many may run at a time
``outcome``   an error becomes a status, and a name for the metrics
``history``   how each target's last scrape ended
============  ============================================================================
"""
