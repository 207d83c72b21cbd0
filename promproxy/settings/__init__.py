"""From YAML to schema classes: the parts that do not know which settings there are.

===========  =============================================================================
``node``     a YAML node that knows its file, line and path of keys
``readers``  each reads one kind of value; `setting` ties one to a field of a class
``load``     a file becomes an instance of a class, or one message
``show``     an instance as YAML again, without secrets
``files``    the files that settings name, to be watched
``units``    durations and sizes as Prometheus writes them
===========  =============================================================================

Each room has the classes of its own settings in its ``settings.py``; `promproxy.config.schema`
joins them.
"""
