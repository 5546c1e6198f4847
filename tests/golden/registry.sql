CREATE TABLE IF NOT EXISTS "ML"."MODEL_REGISTRY" (
    MODEL VARCHAR NOT NULL, VERSION VARCHAR NOT NULL, RUN_ID VARCHAR NOT NULL, STAGE VARCHAR NOT NULL,
    IS_DEFAULT BOOLEAN NOT NULL, CREATED_AT TIMESTAMP_NTZ NOT NULL, FINGERPRINT VARCHAR NOT NULL, CONTRACT VARIANT NOT NULL,
    METRICS VARIANT NOT NULL, REPORT VARIANT NOT NULL, GATE VARIANT NOT NULL, TRAINING_JOB VARCHAR NOT NULL,
    ARTIFACT_URI VARCHAR NOT NULL, ARTIFACT_SHA256 VARCHAR NOT NULL
);

CREATE VIEW IF NOT EXISTS "ML"."MODEL_VERSIONS" AS
SELECT MODEL, VERSION, STAGE, IS_DEFAULT, CREATED_AT, METRICS, FINGERPRINT, RUN_ID, ARTIFACT_URI FROM "ML"."MODEL_REGISTRY";

-- binds: ["churn"]
SELECT MODEL, VERSION, RUN_ID, STAGE, CONTRACT, REPORT, GATE, TRAINING_JOB, ARTIFACT_URI, ARTIFACT_SHA256 FROM "ML"."MODEL_REGISTRY" WHERE MODEL = ? ORDER BY CREATED_AT;

-- binds: ["churn", "1.0", "19980701-0a1b2c3d", "candidate", "<now>", "55c530b21b504ea9", "{\"columns\": [{\"name\": \"TOTAL_SPENT\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"ORDER_COUNT\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"AVERAGE_VALUE\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"DAYS_SINCE_LAST_ORDER\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"DAYS_SINCE_FIRST_ORDER\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"SPENT_30_DAYS\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"SPENT_90_DAYS\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"SPENT_180_DAYS\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"RFM_SCORE\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"AVERAGE_GAP_DAYS\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"LONGEST_GAP_DAYS\", \"dtype\": \"float\", \"categories\": []}, {\"name\": \"GAP_DEVIATION_DAYS\", \"dtype\": \"float\", \"categories\": []}], \"key\": [\"CUSTOMER_ID\"], \"label\": \"CHURNED\", \"as_of\": \"AS_OF\", \"nulls\": \"missing\", \"fingerprint\": \"55c530b21b504ea9\"}", "{\"auc\": 0.81, \"logloss\": 0.42}", "{\"metric\": \"auc\", \"metrics\": {\"validation\": {\"auc\": 0.8}, \"test\": {\"auc\": 0.81, \"logloss\": 0.42}}, \"single_column\": {\"column\": \"DAYS_SINCE_LAST_ORDER\", \"metric\": \"auc\", \"value\": 0.79}, \"single_columns\": {\"auc\": [{\"column\": \"DAYS_SINCE_LAST_ORDER\", \"metric\": \"auc\", \"value\": 0.79}], \"logloss\": [{\"column\": \"RFM_SCORE\", \"metric\": \"logloss\", \"value\": 0.5}]}}", "[\"passed: auc 0.8100 (minimum 0.75)\", \"passed: auc 0.8100 is +0.0200 from DAYS_SINCE_LAST_ORDER alone, 0.7900 (minimum +0.005)\"]", "churn-19980701-0a1b2c3d-20260101120000", "s3://lake/churn/19980701-0a1b2c3d/train/churn-19980701-0a1b2c3d-20260101120000/output/model.tar.gz", "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"]
MERGE INTO "ML"."MODEL_REGISTRY" AS t
USING (SELECT ? AS MODEL, ? AS VERSION, ? AS RUN_ID, ? AS STAGE, FALSE AS IS_DEFAULT, ?::TIMESTAMP_NTZ AS CREATED_AT, ? AS FINGERPRINT, PARSE_JSON(?) AS CONTRACT, PARSE_JSON(?) AS METRICS, PARSE_JSON(?) AS REPORT, PARSE_JSON(?) AS GATE, ? AS TRAINING_JOB, ? AS ARTIFACT_URI, ? AS ARTIFACT_SHA256) AS s
ON t.MODEL = s.MODEL AND t.RUN_ID = s.RUN_ID
WHEN NOT MATCHED THEN INSERT (MODEL, VERSION, RUN_ID, STAGE, IS_DEFAULT, CREATED_AT, FINGERPRINT, CONTRACT, METRICS, REPORT, GATE, TRAINING_JOB, ARTIFACT_URI, ARTIFACT_SHA256)
VALUES (s.MODEL, s.VERSION, s.RUN_ID, s.STAGE, s.IS_DEFAULT, s.CREATED_AT, s.FINGERPRINT, s.CONTRACT, s.METRICS, s.REPORT, s.GATE, s.TRAINING_JOB, s.ARTIFACT_URI, s.ARTIFACT_SHA256);

-- binds: ["churn"]
SELECT MODEL, VERSION, RUN_ID, STAGE, CONTRACT, REPORT, GATE, TRAINING_JOB, ARTIFACT_URI, ARTIFACT_SHA256 FROM "ML"."MODEL_REGISTRY" WHERE MODEL = ? ORDER BY CREATED_AT;
