"""The online service: scores batches of rows for Snowflake's external functions and for any HTTP client.

A request passes these packages in order: ``http`` (connection, routes) -> ``security`` (credentials) -> ``admission`` (a slot,
at once or after a wait, or a rejection) -> ``idempotency`` (batches seen before) -> ``codecs`` (bytes to matrix) -> ``models``
(the live version) -> ``scoring`` (matrix to scores) -> ``codecs`` (scores to bytes). ``telemetry`` records it, ``process`` runs
it, ``application`` assembles it.
"""
