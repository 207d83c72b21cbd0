"""A file on the Prometheus host kept like the ``/discovery`` of a promproxy elsewhere.

For Prometheus servers that read files (``file_sd_configs``) rather than ask themselves.
"""
