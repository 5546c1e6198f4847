"""Rows to Parquet on S3: COPY INTO, verified, the manifest written last."""
