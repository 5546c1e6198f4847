"""Stage 6, online: a batch of rows in, their scores out, to Snowflake and to anyone else over HTTP.

A request goes down this list: ``edge`` (secret, headers, counters) -> ``web`` (routes) -> ``admission`` (a place, a wait or a
refusal) -> ``prediction`` (which version, and what is timed) -> ``forms`` (bytes -> matrix) -> ``scorers`` (matrix -> scores) ->
``forms`` (scores -> bytes). ``models`` holds what is live; ``readiness`` says whether to send requests here; ``problems`` turns
errors into answers; ``journal``, ``metrics`` and ``gauges`` tell what happened; ``server`` runs it all in a process.
"""
