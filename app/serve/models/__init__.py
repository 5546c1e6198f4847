"""The live versions of all models: read from S3, switched at their start time, split in experiments."""
