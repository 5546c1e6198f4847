"""The live versions of all models: read from S3, switched at their moment, split in experiments."""
