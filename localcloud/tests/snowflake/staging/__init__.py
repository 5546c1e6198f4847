"""Stages and files: COPY in both directions, queries over files, types in Parquet."""
