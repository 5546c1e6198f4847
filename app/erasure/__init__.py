"""Erasure: removes one entity from what a pipeline stores, in Snowflake and on S3."""
