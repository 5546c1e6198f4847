"""What runs inside SageMaker: the contract, the split, the model, training and inference.

The container gets the whole package, so that its imports are the same there and here. It imports nothing of ``app``; ``app``
uses everything in it but ``train`` and ``inference``.
"""
