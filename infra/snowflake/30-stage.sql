-- One external stage over the whole bucket.
CREATE STAGE IF NOT EXISTS {{ database }}.{{ stage }}
  URL = {{ bucket_url }}
  STORAGE_INTEGRATION = {{ storage_integration }}
  FILE_FORMAT = (TYPE = PARQUET);
