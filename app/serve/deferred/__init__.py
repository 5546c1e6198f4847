"""Batches that cannot end within the time of one request: written down, answered 202, worked on, fetched with GET.

``deferral`` decides and answers, ``jobs`` does the work in the background, ``ledger`` keeps it where every replica sees it,
``records`` is what stands there, ``pace`` foresees how long a batch takes, ``slices`` scores it piece by piece.
"""
