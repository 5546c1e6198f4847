"""Parquet to model: one SageMaker training job a run."""
