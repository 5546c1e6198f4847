-- Database, schemas, roles and warehouse. Run by a role that may create databases, roles and warehouses.
CREATE DATABASE IF NOT EXISTS {{ database }};
CREATE SCHEMA IF NOT EXISTS {{ database }}.RAW;
CREATE SCHEMA IF NOT EXISTS {{ database }}.FEATURE_STORE;
CREATE SCHEMA IF NOT EXISTS {{ database }}.ML;
CREATE SCHEMA IF NOT EXISTS {{ database }}.ANALYTICS;

CREATE WAREHOUSE IF NOT EXISTS {{ warehouse }}
  WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE;

-- The pipeline's role runs everything; the reader's role calls the prediction functions.
CREATE ROLE IF NOT EXISTS {{ pipeline_role }};
CREATE ROLE IF NOT EXISTS {{ reader_role }};
