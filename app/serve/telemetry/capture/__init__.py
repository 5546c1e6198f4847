"""A sample of what was scored -> Parquet on S3, for monitoring and for joining with what really happened.

``writer`` takes scored batches on the request's thread, which costs a hash and a place in a line, and does everything else on a
thread of its own; ``sample`` says which rows; ``table`` is the files' schema. Nothing here can fail or delay a request: what
does not fit, or cannot be written, is lost and counted.
"""

#: Seconds between two looks at what waits.
LOOK_EVERY_S = 0.25
#: Attempts to write a file; the waits between them double from 1 s, so the last comes after half a minute.
ATTEMPTS = 6
