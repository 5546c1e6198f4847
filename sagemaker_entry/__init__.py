"""The code that runs inside SageMaker: the contract, the split, the model, training and inference.

The container gets the whole package, so that imports are the same there and in the product. It imports nothing of ``app``;
``app`` uses the contract, the split and the model.
"""
