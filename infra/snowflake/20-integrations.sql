-- The storage and the API integration. Needs CREATE INTEGRATION (ACCOUNTADMIN has it).
-- IF NOT EXISTS, because OR REPLACE would make a new external id and break the roles' trust.
CREATE STORAGE INTEGRATION IF NOT EXISTS {{ storage_integration }}
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'S3'
  ENABLED = TRUE
  STORAGE_AWS_ROLE_ARN = {{ storage_role_arn }}
  STORAGE_ALLOWED_LOCATIONS = ({{ bucket_url }});

CREATE API INTEGRATION IF NOT EXISTS {{ api_integration }}
  API_PROVIDER = aws_api_gateway
  API_AWS_ROLE_ARN = {{ api_role_arn }}
  API_ALLOWED_PREFIXES = ({{ gateway_url }})
  ENABLED = TRUE;
