-- Grants. The pipeline's role reads the sources and owns what it makes; the reader's role may only call and read.
GRANT USAGE ON DATABASE {{ database }} TO ROLE {{ pipeline_role }};
GRANT USAGE ON ALL SCHEMAS IN DATABASE {{ database }} TO ROLE {{ pipeline_role }};
GRANT USAGE ON WAREHOUSE {{ warehouse }} TO ROLE {{ pipeline_role }};
GRANT SELECT ON ALL TABLES IN SCHEMA {{ database }}.RAW TO ROLE {{ pipeline_role }};
GRANT SELECT ON FUTURE TABLES IN SCHEMA {{ database }}.RAW TO ROLE {{ pipeline_role }};
GRANT SELECT ON ALL VIEWS IN SCHEMA {{ database }}.RAW TO ROLE {{ pipeline_role }};
GRANT SELECT ON FUTURE VIEWS IN SCHEMA {{ database }}.RAW TO ROLE {{ pipeline_role }};
GRANT CREATE TABLE ON SCHEMA {{ database }}.FEATURE_STORE TO ROLE {{ pipeline_role }};
GRANT CREATE VIEW ON SCHEMA {{ database }}.FEATURE_STORE TO ROLE {{ pipeline_role }};
GRANT CREATE FUNCTION ON SCHEMA {{ database }}.FEATURE_STORE TO ROLE {{ pipeline_role }};
GRANT CREATE PROCEDURE ON SCHEMA {{ database }}.FEATURE_STORE TO ROLE {{ pipeline_role }};
GRANT CREATE TABLE ON SCHEMA {{ database }}.ML TO ROLE {{ pipeline_role }};
GRANT CREATE VIEW ON SCHEMA {{ database }}.ML TO ROLE {{ pipeline_role }};
GRANT CREATE FUNCTION ON SCHEMA {{ database }}.ML TO ROLE {{ pipeline_role }};
GRANT CREATE TABLE ON SCHEMA {{ database }}.ANALYTICS TO ROLE {{ pipeline_role }};
GRANT USAGE ON STAGE {{ database }}.{{ stage }} TO ROLE {{ pipeline_role }};
GRANT USAGE ON INTEGRATION {{ storage_integration }} TO ROLE {{ pipeline_role }};
GRANT USAGE ON INTEGRATION {{ api_integration }} TO ROLE {{ pipeline_role }};

GRANT USAGE ON DATABASE {{ database }} TO ROLE {{ reader_role }};
GRANT USAGE ON SCHEMA {{ database }}.FEATURE_STORE TO ROLE {{ reader_role }};
GRANT SELECT ON FUTURE VIEWS IN SCHEMA {{ database }}.FEATURE_STORE TO ROLE {{ reader_role }};
GRANT USAGE ON SCHEMA {{ database }}.ML TO ROLE {{ reader_role }};
GRANT USAGE ON SCHEMA {{ database }}.ANALYTICS TO ROLE {{ reader_role }};
GRANT SELECT ON FUTURE TABLES IN SCHEMA {{ database }}.ANALYTICS TO ROLE {{ reader_role }};
GRANT USAGE ON WAREHOUSE {{ warehouse }} TO ROLE {{ reader_role }};

GRANT ROLE {{ reader_role }} TO ROLE {{ pipeline_role }};
GRANT ROLE {{ pipeline_role }} TO ROLE SYSADMIN;
