"""S3: moto's, with atomic conditional writes, bucket policies that honour their conditions, and transfers between buckets and
directories.
"""
