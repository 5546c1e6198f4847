"""Stage 6, online: a batch of rows in, their scores out, to Snowflake and to anyone else over HTTP.

A request goes down this list: ``edge`` (secret, headers, counters) -> ``web`` (routes) -> ``prediction`` (which version, and
what is timed) -> ``body`` and ``signature`` -> ``codec`` (bytes -> matrix) -> ``scoring`` (matrix -> scores through the
endpoint) -> ``codec`` (scores -> bytes). ``models`` holds what is live; ``problems`` turns errors into answers; ``journal``
and ``metrics`` tell what happened; ``server`` runs it all in a process.
"""
