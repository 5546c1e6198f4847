"""Parquet to model: one SageMaker training job for each run."""
