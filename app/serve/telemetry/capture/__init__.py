"""Capture: a sample of the scored rows as Parquet files on S3, for monitoring and for joining with what happened later.

``writer`` takes scored batches on the request's thread, which costs a hash and an append to a queue, and does everything else
on its own thread; ``sample`` chooses the rows; ``table`` is the schema of the files. Capture cannot fail or delay a request:
rows that do not fit in memory or cannot be written are lost and counted.
"""

#: Seconds between two checks of the queue.
CHECK_EVERY_S = 0.25
#: Attempts to write a file; the waits between them double from 1 s, so the last one is after half a minute.
ATTEMPTS = 6
