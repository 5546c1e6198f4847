"""Metrics, traces, the request log, and the sample of scored rows kept on S3."""
