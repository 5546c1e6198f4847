"""Scores of Arrow's record batches, column by column: the same float32 bits as by rows, without an object for each value.

``columns`` finds the values of a batch in memory; ``kernels`` turns them into float32; ``prediction`` scores them. All need numba
and pyarrow.
"""
