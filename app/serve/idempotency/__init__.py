"""Batches that are sent again, and batches that cannot end within one request: written to S3, answered 202, fetched with GET.

``response_cache`` keeps the answers of scored batches; ``deferral`` decides and answers, ``jobs`` works in the background,
``ledger`` stores deferred batches where every replica sees them, ``records`` is their format, ``duration_estimate`` predicts how
long a batch takes, ``chunked_scorer`` scores it in pieces.
"""
