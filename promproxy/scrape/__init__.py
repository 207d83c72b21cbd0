"""The second flow: a request for one target becomes a request to it.

============  ============================================================================
``resource``  the flow itself, top to bottom
``limits``    how long a scrape may take, and how many may run at a time
``outcome``   an error becomes a status, and a name for the metrics
``history``   how each target's last scrape ended
============  ============================================================================
"""
