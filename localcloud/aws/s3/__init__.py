"""S3: moto's, with bucket policies that honour their conditions, and transfers between buckets and directories."""
