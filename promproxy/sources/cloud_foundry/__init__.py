"""The source kind ``cloud_foundry``: one target per instance of every selected app.

=================  ==========================================================================
``resources``      apps, processes, routes and so on, as far as we need them (pure)
``label_selector`` label selectors, decided by ourselves (pure)
``rules``          which apps a configuration selects (pure)
``plan``           which lists to ask for, with which filters (pure)
``routes``         which of an app's routes to scrape through (pure)
``targets``        lists joined into targets (pure)
``uaa``            the token, kept fresh
``api``            one request to the API: token, rate limit, retries
``lists``          whole lists, page by page
``source``         joins all of these
=================  ==========================================================================

Facts about the API are from the documentation of its version 3, and from the sources of the Cloud
Controller (cloud_controller_ng), UAA and gorouter.
"""
