CREATE TABLE IF NOT EXISTS "FEATURE_STORE"."FEATURE_LINEAGE" (
    VIEW_NAME VARCHAR NOT NULL,
    FEATURE_VERSION NUMBER NOT NULL,
    AS_OF TIMESTAMP_NTZ NOT NULL,
    KNOWN_AT TIMESTAMP_NTZ NOT NULL,
    DEFINITION_SHA256 VARCHAR NOT NULL,
    SOURCES_SHA256 VARCHAR NOT NULL,
    SOURCES VARCHAR NOT NULL,
    RUN_ID VARCHAR NOT NULL,
    ROW_COUNT NUMBER NOT NULL,
    CREATED_AT TIMESTAMP_NTZ NOT NULL,
    NULL_COUNTS VARIANT,
    REMOVED_AT TIMESTAMP_NTZ
);

SHOW OBJECTS LIKE 'ORDERS' IN SCHEMA "RAW";

SELECT 'orders' AS SOURCE_NAME, POLICY_KIND, POLICY_DB, POLICY_SCHEMA, POLICY_NAME, REF_COLUMN_NAME, REF_ARG_COLUMN_NAMES
FROM TABLE(INFORMATION_SCHEMA.POLICY_REFERENCES(REF_ENTITY_NAME => '"RAW"."ORDERS"', REF_ENTITY_DOMAIN => 'TABLE'));

SELECT SOURCE_NAME, CASE WHEN EVENT_TIME < '1997-05-07 00:00:00'::TIMESTAMP_NTZ THEN 0 WHEN EVENT_TIME < '1997-06-06 00:00:00'::TIMESTAMP_NTZ THEN 1 WHEN EVENT_TIME < '1997-07-06 00:00:00'::TIMESTAMP_NTZ THEN 2 WHEN EVENT_TIME < '1997-08-05 00:00:00'::TIMESTAMP_NTZ THEN 3 WHEN EVENT_TIME < '1997-09-04 00:00:00'::TIMESTAMP_NTZ THEN 4 WHEN EVENT_TIME < '1997-10-04 00:00:00'::TIMESTAMP_NTZ THEN 5 WHEN EVENT_TIME < '1997-11-03 00:00:00'::TIMESTAMP_NTZ THEN 6 WHEN EVENT_TIME < '1997-12-03 00:00:00'::TIMESTAMP_NTZ THEN 7 WHEN EVENT_TIME < '1998-01-02 00:00:00'::TIMESTAMP_NTZ THEN 8 WHEN EVENT_TIME < '1998-02-01 00:00:00'::TIMESTAMP_NTZ THEN 9 WHEN EVENT_TIME < '1998-03-03 00:00:00'::TIMESTAMP_NTZ THEN 10 WHEN EVENT_TIME < '1998-04-02 00:00:00'::TIMESTAMP_NTZ THEN 11 WHEN EVENT_TIME < '1998-05-02 00:00:00'::TIMESTAMP_NTZ THEN 12 WHEN EVENT_TIME < '1998-06-01 00:00:00'::TIMESTAMP_NTZ THEN 13 WHEN EVENT_TIME < '1998-07-01 00:00:00'::TIMESTAMP_NTZ THEN 14 END AS INTERVAL_INDEX,
    COUNT(*) AS ROW_COUNT, MOD(SUM(ROW_HASH), 9223372036854775783) AS HASHED, MIN(EVENT_TIME) AS FIRST_EVENT,
    MAX(EVENT_TIME) AS LAST_EVENT
FROM (
    SELECT 'orders' AS SOURCE_NAME, HASH(*) AS ROW_HASH, "ORDER_DATE"::TIMESTAMP_LTZ::TIMESTAMP_NTZ AS EVENT_TIME FROM "RAW"."ORDERS" WHERE "ORDER_DATE" < '1998-07-01 00:00:00'::TIMESTAMP_NTZ
)
GROUP BY SOURCE_NAME, INTERVAL_INDEX;

SHOW OBJECTS LIKE 'C%' IN SCHEMA "FEATURE_STORE";

-- binds: ["CUSTOMER_ORDERS", 1, "CUSTOMER_RHYTHM", 1]
SELECT l.VIEW_NAME, l.AS_OF, l.KNOWN_AT, l.ROW_COUNT, l.DEFINITION_SHA256, l.SOURCES_SHA256,
    COALESCE(l.ROW_COUNT = t.STORED AND l.ROW_COUNT = t.ENTITIES, FALSE) AS INTACT,
    l.REMOVED_AT AS REMOVED_AT
FROM "FEATURE_STORE"."FEATURE_LINEAGE" AS l
LEFT JOIN (
    SELECT 'CUSTOMER_ORDERS' AS VIEW_NAME, AS_OF, KNOWN_AT, COUNT(*) AS STORED, COUNT(DISTINCT "CUSTOMER_ID") AS ENTITIES
    FROM "FEATURE_STORE"."CUSTOMER_ORDERS" WHERE FEATURE_VERSION = 1 GROUP BY AS_OF, KNOWN_AT
    UNION ALL SELECT 'CUSTOMER_RHYTHM' AS VIEW_NAME, AS_OF, KNOWN_AT, COUNT(*) AS STORED, COUNT(DISTINCT "CUSTOMER_ID") AS ENTITIES
    FROM "FEATURE_STORE"."CUSTOMER_RHYTHM" WHERE FEATURE_VERSION = 1 GROUP BY AS_OF, KNOWN_AT
) AS t ON t.VIEW_NAME = l.VIEW_NAME AND t.AS_OF = l.AS_OF AND t.KNOWN_AT = l.KNOWN_AT
WHERE (l.VIEW_NAME = ? AND l.FEATURE_VERSION = ?) OR (l.VIEW_NAME = ? AND l.FEATURE_VERSION = ?) ORDER BY l.VIEW_NAME, l.AS_OF, l.KNOWN_AT;

-- binds: ["CUSTOMER_ORDERS", 1, "CUSTOMER_RHYTHM", 1]
SELECT VIEW_NAME, FEATURE_VERSION, DEFINE, DEFINITION, QUERY_SHAPE, SOURCES, RECORD_SHA256 FROM "FEATURE_STORE"."FEATURE_VIEWS" WHERE (VIEW_NAME = ? AND FEATURE_VERSION = ?) OR (VIEW_NAME = ? AND FEATURE_VERSION = ?);

ALTER TABLE "FEATURE_STORE"."CUSTOMER_ORDERS" ADD COLUMN "RFM_SCORE" FLOAT;

-- binds: [1, "1998-07-01 06:30:00", "1998-07-01 00:00:00"]
DELETE FROM "FEATURE_STORE"."CUSTOMER_ORDERS" WHERE FEATURE_VERSION = ? AND KNOWN_AT = ? AND AS_OF IN (?);

-- binds: [1, "1998-07-01 06:30:00", "<now>", "1998-07-01 00:00:00"]
MERGE INTO "FEATURE_STORE"."CUSTOMER_ORDERS" AS t
USING (SELECT ?::NUMBER AS FEATURE_VERSION, ?::TIMESTAMP_NTZ AS KNOWN_AT, ?::TIMESTAMP_NTZ AS CREATED_AT, AS_OF, "CUSTOMER_ID", "TOTAL_SPENT", "ORDER_COUNT", "AVERAGE_VALUE", "DAYS_SINCE_LAST_ORDER", "DAYS_SINCE_FIRST_ORDER", "SPENT_30_DAYS", "SPENT_90_DAYS", "SPENT_180_DAYS", "RFM_SCORE" FROM (
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "TOTAL_SPENT", "ORDER_COUNT", "AVERAGE_VALUE", "DAYS_SINCE_LAST_ORDER", "DAYS_SINCE_FIRST_ORDER", "SPENT_30_DAYS", "SPENT_90_DAYS", "SPENT_180_DAYS", "RFM_SCORE" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
)) AS s
ON t."CUSTOMER_ID" = s."CUSTOMER_ID" AND t."AS_OF" = s."AS_OF" AND t."FEATURE_VERSION" = s."FEATURE_VERSION" AND t."KNOWN_AT" = s."KNOWN_AT"
WHEN MATCHED THEN UPDATE SET "CREATED_AT" = s."CREATED_AT", "TOTAL_SPENT" = s."TOTAL_SPENT", "ORDER_COUNT" = s."ORDER_COUNT", "AVERAGE_VALUE" = s."AVERAGE_VALUE", "DAYS_SINCE_LAST_ORDER" = s."DAYS_SINCE_LAST_ORDER", "DAYS_SINCE_FIRST_ORDER" = s."DAYS_SINCE_FIRST_ORDER", "SPENT_30_DAYS" = s."SPENT_30_DAYS", "SPENT_90_DAYS" = s."SPENT_90_DAYS", "SPENT_180_DAYS" = s."SPENT_180_DAYS", "RFM_SCORE" = s."RFM_SCORE"
WHEN NOT MATCHED THEN INSERT ("CUSTOMER_ID", "AS_OF", "FEATURE_VERSION", "KNOWN_AT", "CREATED_AT", "TOTAL_SPENT", "ORDER_COUNT", "AVERAGE_VALUE", "DAYS_SINCE_LAST_ORDER", "DAYS_SINCE_FIRST_ORDER", "SPENT_30_DAYS", "SPENT_90_DAYS", "SPENT_180_DAYS", "RFM_SCORE") VALUES (s."CUSTOMER_ID", s."AS_OF", s."FEATURE_VERSION", s."KNOWN_AT", s."CREATED_AT", s."TOTAL_SPENT", s."ORDER_COUNT", s."AVERAGE_VALUE", s."DAYS_SINCE_LAST_ORDER", s."DAYS_SINCE_FIRST_ORDER", s."SPENT_30_DAYS", s."SPENT_90_DAYS", s."SPENT_180_DAYS", s."RFM_SCORE");

-- binds: [1, "1998-07-01 06:30:00", "1998-07-01 00:00:00"]
DELETE FROM "FEATURE_STORE"."CUSTOMER_RHYTHM" WHERE FEATURE_VERSION = ? AND KNOWN_AT = ? AND AS_OF IN (?);

-- binds: [1, "1998-07-01 06:30:00", "<now>", "1998-07-01 00:00:00"]
MERGE INTO "FEATURE_STORE"."CUSTOMER_RHYTHM" AS t
USING (SELECT ?::NUMBER AS FEATURE_VERSION, ?::TIMESTAMP_NTZ AS KNOWN_AT, ?::TIMESTAMP_NTZ AS CREATED_AT, AS_OF, "CUSTOMER_ID", "AVERAGE_GAP_DAYS", "LONGEST_GAP_DAYS", "GAP_DEVIATION_DAYS" FROM (
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "AVERAGE_GAP_DAYS", "LONGEST_GAP_DAYS", "GAP_DEVIATION_DAYS" FROM (
WITH orders AS (SELECT * FROM "RAW"."ORDERS" WHERE "ORDER_DATE" < '1998-07-01 00:00:00'::TIMESTAMP_NTZ)
SELECT * FROM (
-- How regularly a customer orders: the gaps between orders, by a window function.
-- `orders` is the source of that name, already cut at '1998-07-01 00:00:00'::TIMESTAMP_NTZ.
WITH gaps AS (
    SELECT
        customer_id,
        DATEDIFF('day', LAG(order_date) OVER (PARTITION BY customer_id ORDER BY order_date, order_id), order_date) AS gap
    FROM orders
)
SELECT
    customer_id,
    AVG(gap)::FLOAT AS average_gap_days,
    MAX(gap) AS longest_gap_days,
    STDDEV(gap)::FLOAT AS gap_deviation_days
FROM gaps
GROUP BY customer_id
)
)
)) AS s
ON t."CUSTOMER_ID" = s."CUSTOMER_ID" AND t."AS_OF" = s."AS_OF" AND t."FEATURE_VERSION" = s."FEATURE_VERSION" AND t."KNOWN_AT" = s."KNOWN_AT"
WHEN MATCHED THEN UPDATE SET "CREATED_AT" = s."CREATED_AT", "AVERAGE_GAP_DAYS" = s."AVERAGE_GAP_DAYS", "LONGEST_GAP_DAYS" = s."LONGEST_GAP_DAYS", "GAP_DEVIATION_DAYS" = s."GAP_DEVIATION_DAYS"
WHEN NOT MATCHED THEN INSERT ("CUSTOMER_ID", "AS_OF", "FEATURE_VERSION", "KNOWN_AT", "CREATED_AT", "AVERAGE_GAP_DAYS", "LONGEST_GAP_DAYS", "GAP_DEVIATION_DAYS") VALUES (s."CUSTOMER_ID", s."AS_OF", s."FEATURE_VERSION", s."KNOWN_AT", s."CREATED_AT", s."AVERAGE_GAP_DAYS", s."LONGEST_GAP_DAYS", s."GAP_DEVIATION_DAYS");

CREATE TABLE IF NOT EXISTS "FEATURE_STORE"."CHURN_LABEL" (
    "CUSTOMER_ID" NUMBER NOT NULL,
    AS_OF TIMESTAMP_NTZ NOT NULL,
    FEATURE_VERSION NUMBER NOT NULL,
    KNOWN_AT TIMESTAMP_NTZ NOT NULL,
    CREATED_AT TIMESTAMP_NTZ NOT NULL,
    "CHURNED" FLOAT,
    PRIMARY KEY ("CUSTOMER_ID", AS_OF, FEATURE_VERSION, KNOWN_AT)
)
CLUSTER BY (AS_OF, FEATURE_VERSION)
COMMENT = 'snowsage: pipeline churn; slices of a feature view or label';

-- binds: [1, "1998-07-01 06:30:00", "<now>", "1997-05-07 00:00:00", "1997-06-06 00:00:00", "1997-07-06 00:00:00", "1997-08-05 00:00:00", "1997-09-04 00:00:00", "1997-10-04 00:00:00", "1997-11-03 00:00:00", "1997-12-03 00:00:00", "1998-01-02 00:00:00", "1998-02-01 00:00:00", "1998-03-03 00:00:00", "1998-04-02 00:00:00"]
MERGE INTO "FEATURE_STORE"."CHURN_LABEL" AS t
USING (SELECT ?::NUMBER AS FEATURE_VERSION, ?::TIMESTAMP_NTZ AS KNOWN_AT, ?::TIMESTAMP_NTZ AS CREATED_AT, AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
UNION ALL
SELECT ?::TIMESTAMP_NTZ AS AS_OF, "CUSTOMER_ID", "CHURNED" FROM (
SELECT compiled /* what Snowpark makes of the definition */
)
)) AS s
ON t."CUSTOMER_ID" = s."CUSTOMER_ID" AND t."AS_OF" = s."AS_OF" AND t."FEATURE_VERSION" = s."FEATURE_VERSION" AND t."KNOWN_AT" = s."KNOWN_AT"
WHEN MATCHED THEN UPDATE SET "CREATED_AT" = s."CREATED_AT", "CHURNED" = s."CHURNED"
WHEN NOT MATCHED THEN INSERT ("CUSTOMER_ID", "AS_OF", "FEATURE_VERSION", "KNOWN_AT", "CREATED_AT", "CHURNED") VALUES (s."CUSTOMER_ID", s."AS_OF", s."FEATURE_VERSION", s."KNOWN_AT", s."CREATED_AT", s."CHURNED");

-- binds: [1, "1998-07-01 06:30:00", "1997-05-07 00:00:00", "1998-07-01 00:00:00", 1, "1998-07-01 06:30:00", "1997-05-07 00:00:00", "1998-07-01 00:00:00", 1, "1998-07-01 06:30:00", "1997-05-07 00:00:00", "1998-07-01 00:00:00"]
SELECT 'CUSTOMER_ORDERS' AS VIEW_NAME, AS_OF, COUNT(*) AS STORED, COUNT(DISTINCT "CUSTOMER_ID") AS ENTITIES,
    OBJECT_CONSTRUCT('TOTAL_SPENT', COUNT_IF("TOTAL_SPENT" IS NULL), 'ORDER_COUNT', COUNT_IF("ORDER_COUNT" IS NULL), 'AVERAGE_VALUE', COUNT_IF("AVERAGE_VALUE" IS NULL), 'DAYS_SINCE_LAST_ORDER', COUNT_IF("DAYS_SINCE_LAST_ORDER" IS NULL), 'DAYS_SINCE_FIRST_ORDER', COUNT_IF("DAYS_SINCE_FIRST_ORDER" IS NULL), 'SPENT_30_DAYS', COUNT_IF("SPENT_30_DAYS" IS NULL), 'SPENT_90_DAYS', COUNT_IF("SPENT_90_DAYS" IS NULL), 'SPENT_180_DAYS', COUNT_IF("SPENT_180_DAYS" IS NULL), 'RFM_SCORE', COUNT_IF("RFM_SCORE" IS NULL)) AS NULLS
FROM "FEATURE_STORE"."CUSTOMER_ORDERS"
WHERE FEATURE_VERSION = ? AND KNOWN_AT = ? AND AS_OF BETWEEN ? AND ? GROUP BY AS_OF
UNION ALL
SELECT 'CUSTOMER_RHYTHM' AS VIEW_NAME, AS_OF, COUNT(*) AS STORED, COUNT(DISTINCT "CUSTOMER_ID") AS ENTITIES,
    OBJECT_CONSTRUCT('AVERAGE_GAP_DAYS', COUNT_IF("AVERAGE_GAP_DAYS" IS NULL), 'LONGEST_GAP_DAYS', COUNT_IF("LONGEST_GAP_DAYS" IS NULL), 'GAP_DEVIATION_DAYS', COUNT_IF("GAP_DEVIATION_DAYS" IS NULL)) AS NULLS
FROM "FEATURE_STORE"."CUSTOMER_RHYTHM"
WHERE FEATURE_VERSION = ? AND KNOWN_AT = ? AND AS_OF BETWEEN ? AND ? GROUP BY AS_OF
UNION ALL
SELECT 'CHURN_LABEL' AS VIEW_NAME, AS_OF, COUNT(*) AS STORED, COUNT(DISTINCT "CUSTOMER_ID") AS ENTITIES,
    OBJECT_CONSTRUCT('CHURNED', COUNT_IF("CHURNED" IS NULL)) AS NULLS
FROM "FEATURE_STORE"."CHURN_LABEL"
WHERE FEATURE_VERSION = ? AND KNOWN_AT = ? AND AS_OF BETWEEN ? AND ? GROUP BY AS_OF;

-- binds: ["1998-07-01 06:30:00", "19980701-0a1b2c3d", "<now>", "[{\"VIEW_NAME\": \"CUSTOMER_ORDERS\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1998-07-01 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"9420da084972ba076dda780e75d172013a6ac8c05b056cf7faa0476e682cc7da\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 105, \\\"hash\\\": \\\"285\\\", \\\"before\\\": \\\"1998-07-01T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CUSTOMER_RHYTHM\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1998-07-01 00:00:00\", \"DEFINITION_SHA256\": \"b51163e4cb43260ce20693559c9e1330dbb9ecc5f07ae3341b688aa67b92e83d\", \"SOURCES_SHA256\": \"9420da084972ba076dda780e75d172013a6ac8c05b056cf7faa0476e682cc7da\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 105, \\\"hash\\\": \\\"285\\\", \\\"before\\\": \\\"1998-07-01T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-05-07 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"1db44f581c60cc5c7b3f7ac0e84496ebc604df5223024982cc54d2c3e9f2fce4\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 28, \\\"hash\\\": \\\"54\\\", \\\"before\\\": \\\"1997-08-05T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-06-06 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"566db0f60adb176b985bea1743e07ad100d5b0beeeb3a4f58e1db155b431e324\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 35, \\\"hash\\\": \\\"70\\\", \\\"before\\\": \\\"1997-09-04T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-07-06 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"8fc639e8cefc8d034cd53faa255760af29c1047ce6e722cc0cce07bfffb8d5ac\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 42, \\\"hash\\\": \\\"87\\\", \\\"before\\\": \\\"1997-10-04T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-08-05 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"c5a2955f72a599fee9d0b1df64eb0f3697fc4305c38e3d8a40c4247d5ef24b8d\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 49, \\\"hash\\\": \\\"105\\\", \\\"before\\\": \\\"1997-11-03T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-09-04 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"b3372fae1300d103c9d004f48dbe2260dd44448f4bf72a3c6ba6374b6b43d141\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 56, \\\"hash\\\": \\\"124\\\", \\\"before\\\": \\\"1997-12-03T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-10-04 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"d982813babfedaf20eaa6d0261db2041f826db5eaec8ab521a3a0c5d0bc85fb2\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 63, \\\"hash\\\": \\\"144\\\", \\\"before\\\": \\\"1998-01-02T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-11-03 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"7efc4d29721a75db650ea05522edcd1bff64d4e184f91370c1e177b77a2c0962\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 70, \\\"hash\\\": \\\"165\\\", \\\"before\\\": \\\"1998-02-01T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1997-12-03 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"6942cf914677e2002fee25bb8fc6bc1a13f488f76275cc42eccd2bef09ac4e75\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 77, \\\"hash\\\": \\\"187\\\", \\\"before\\\": \\\"1998-03-03T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1998-01-02 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"498003484576600064d50cb528d70e39ac62193218faaeea48ced29152fb499d\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 84, \\\"hash\\\": \\\"210\\\", \\\"before\\\": \\\"1998-04-02T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1998-02-01 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"556e80d79c9a2c11b3afd6e0b91c949200e71a6c595d4588d904f815f4299465\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 91, \\\"hash\\\": \\\"234\\\", \\\"before\\\": \\\"1998-05-02T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1998-03-03 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"d2a55c709d3010025a5ee55a776aa9e6af540ad81c388366887725ede3cfc015\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 98, \\\"hash\\\": \\\"259\\\", \\\"before\\\": \\\"1998-06-01T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"AS_OF\": \"1998-04-02 00:00:00\", \"DEFINITION_SHA256\": \"6a6bd889e7326e4cbb1220c0cae6780e0c940095f11c3afc5b49a914d71fd89c\", \"SOURCES_SHA256\": \"9420da084972ba076dda780e75d172013a6ac8c05b056cf7faa0476e682cc7da\", \"SOURCES\": \"{\\\"orders\\\": {\\\"table\\\": \\\"RAW.ORDERS\\\", \\\"rows\\\": 105, \\\"hash\\\": \\\"285\\\", \\\"before\\\": \\\"1998-07-01T00:00:00\\\"}}\", \"ROW_COUNT\": 900, \"NULL_COUNTS\": {}}]"]
MERGE INTO "FEATURE_STORE"."FEATURE_LINEAGE" AS t
USING (SELECT f.VALUE:VIEW_NAME::VARCHAR AS VIEW_NAME, f.VALUE:FEATURE_VERSION::NUMBER AS FEATURE_VERSION, f.VALUE:AS_OF::TIMESTAMP_NTZ AS AS_OF, ?::TIMESTAMP_NTZ AS KNOWN_AT, f.VALUE:DEFINITION_SHA256::VARCHAR AS DEFINITION_SHA256, f.VALUE:SOURCES_SHA256::VARCHAR AS SOURCES_SHA256, f.VALUE:SOURCES::VARCHAR AS SOURCES, ?::VARCHAR AS RUN_ID, f.VALUE:ROW_COUNT::NUMBER AS ROW_COUNT, ?::TIMESTAMP_NTZ AS CREATED_AT, f.VALUE:NULL_COUNTS::VARIANT AS NULL_COUNTS, f.VALUE:REMOVED_AT::TIMESTAMP_NTZ AS REMOVED_AT FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f) AS s
ON t.VIEW_NAME = s.VIEW_NAME AND t.FEATURE_VERSION = s.FEATURE_VERSION AND t.AS_OF = s.AS_OF AND t.KNOWN_AT = s.KNOWN_AT
WHEN MATCHED THEN UPDATE SET DEFINITION_SHA256 = s.DEFINITION_SHA256, SOURCES_SHA256 = s.SOURCES_SHA256, SOURCES = s.SOURCES, RUN_ID = s.RUN_ID, ROW_COUNT = s.ROW_COUNT, CREATED_AT = s.CREATED_AT, NULL_COUNTS = s.NULL_COUNTS, REMOVED_AT = s.REMOVED_AT
WHEN NOT MATCHED THEN INSERT (VIEW_NAME, FEATURE_VERSION, AS_OF, KNOWN_AT, DEFINITION_SHA256, SOURCES_SHA256, SOURCES, RUN_ID, ROW_COUNT, CREATED_AT, NULL_COUNTS, REMOVED_AT) VALUES (s.VIEW_NAME, s.FEATURE_VERSION, s.AS_OF, s.KNOWN_AT, s.DEFINITION_SHA256, s.SOURCES_SHA256, s.SOURCES, s.RUN_ID, s.ROW_COUNT, s.CREATED_AT, s.NULL_COUNTS, s.REMOVED_AT);

-- binds: ["churn", "<now>", "[{\"VIEW_NAME\": \"CUSTOMER_ORDERS\", \"FEATURE_VERSION\": 1, \"KIND\": \"view\", \"ENTITY\": [\"CUSTOMER_ID\"], \"OWNER\": null, \"DESCRIPTION\": null, \"TTL_SECONDS\": null, \"DEFINE\": \"features.py:customer_orders\", \"DEFINITION\": \"def customer_orders(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:\\n    \\\"\\\"\\\"Recency, frequency and monetary value, trailing windows, and the RFM score from quintiles.\\\"\\\"\\\"\\n\\n    def spent_in_last(days: int) -> Column:\\n        recent = col(\\\"ORDER_DATE\\\") >= lit(as_of - timedelta(days=days))\\n        return sum_(iff(recent, col(\\\"AMOUNT\\\"), lit(0))).cast(\\\"FLOAT\\\")\\n\\n    customers = (\\n        sources[\\\"orders\\\"]\\n        .group_by(\\\"CUSTOMER_ID\\\")\\n        .agg(\\n            sum_(\\\"AMOUNT\\\").cast(\\\"FLOAT\\\").alias(\\\"TOTAL_SPENT\\\"),\\n            count(lit(1)).alias(\\\"ORDER_COUNT\\\"),\\n            avg(\\\"AMOUNT\\\").cast(\\\"FLOAT\\\").alias(\\\"AVERAGE_VALUE\\\"),\\n            datediff(\\\"day\\\", max_(\\\"ORDER_DATE\\\"), lit(as_of)).alias(\\\"DAYS_SINCE_LAST_ORDER\\\"),\\n            spent_in_last(30).alias(\\\"SPENT_30_DAYS\\\"),\\n            spent_in_last(90).alias(\\\"SPENT_90_DAYS\\\"),\\n            spent_in_last(180).alias(\\\"SPENT_180_DAYS\\\"),\\n        )\\n    )\\n    # The key breaks ties, so that the same rows always get the same quintiles.\\n    return customers.with_column(\\n        \\\"RFM_SCORE\\\",\\n        ntile(lit(5)).over(Window.order_by(col(\\\"DAYS_SINCE_LAST_ORDER\\\").desc(), col(\\\"CUSTOMER_ID\\\")))\\n        + ntile(lit(5)).over(Window.order_by(col(\\\"ORDER_COUNT\\\"), col(\\\"CUSTOMER_ID\\\")))\\n        + ntile(lit(5)).over(Window.order_by(col(\\\"TOTAL_SPENT\\\"), col(\\\"CUSTOMER_ID\\\"))),\\n    )\\n\\n\\nfrom __future__ import annotations\\nfrom collections.abc import Mapping\\nfrom datetime import datetime, timedelta\\nfrom snowflake.snowpark import Column, DataFrame, Window\\nfrom snowflake.snowpark.functions import avg, col, count, datediff, iff, lit, ntile\\nfrom snowflake.snowpark.functions import max as max_\\nfrom snowflake.snowpark.functions import sum as sum_\\ndef churned(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:\\n    \\\"\\\"\\\"1 for a customer without an order in the 90 days from ``as_of`` on, else 0.\\\"\\\"\\\"\\n    orders = sources[\\\"orders\\\"]  # ends one horizon after as_of\\n    return orders.group_by(\\\"CUSTOMER_ID\\\").agg(iff(max_(\\\"ORDER_DATE\\\") >= lit(as_of), lit(0), lit(1)).alias(\\\"CHURNED\\\"))\", \"QUERY_SHAPE\": \"(SELECT compiled /* what Snowpark makes of the definition */\\n)\", \"SOURCES\": {}, \"FEATURES\": [{\"name\": \"TOTAL_SPENT\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"ORDER_COUNT\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"AVERAGE_VALUE\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"DAYS_SINCE_LAST_ORDER\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"DAYS_SINCE_FIRST_ORDER\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"SPENT_30_DAYS\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"SPENT_90_DAYS\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"SPENT_180_DAYS\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}, {\"name\": \"RFM_SCORE\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}], \"DEFINITION_SHA256\": \"df7942995d427ec058821e6a631c0e579d39ad8ebdc100ab3d04fc54996070b8\", \"RECORD_SHA256\": \"07e3bae45eb53c580cca772eb3a4c1832206133809d3eb797ca5c72274f5124f\"}, {\"VIEW_NAME\": \"CUSTOMER_RHYTHM\", \"FEATURE_VERSION\": 1, \"KIND\": \"view\", \"ENTITY\": [\"CUSTOMER_ID\"], \"OWNER\": null, \"DESCRIPTION\": null, \"TTL_SECONDS\": null, \"DEFINE\": \"rhythm.sql\", \"DEFINITION\": \"-- How regularly a customer orders: the gaps between orders, by a window function.\\n-- `orders` is the source of that name, already cut at :as_of.\\nWITH gaps AS (\\n    SELECT\\n        customer_id,\\n        DATEDIFF('day', LAG(order_date) OVER (PARTITION BY customer_id ORDER BY order_date, order_id), order_date) AS gap\\n    FROM orders\\n)\\nSELECT\\n    customer_id,\\n    AVG(gap)::FLOAT AS average_gap_days,\\n    MAX(gap) AS longest_gap_days,\\n    STDDEV(gap)::FLOAT AS gap_deviation_days\\nFROM gaps\\nGROUP BY customer_id\\n\", \"QUERY_SHAPE\": \"(WITH orders AS (SELECT * FROM \\\"sources cut at as_of\\\".\\\"orders\\\")\\nSELECT * FROM (\\n-- How regularly a customer orders: the gaps between orders, by a window function.\\n-- `orders` is the source of that name, already cut at 'as_of'::TIMESTAMP_NTZ.\\nWITH gaps AS (\\n    SELECT\\n        customer_id,\\n        DATEDIFF('day', LAG(order_date) OVER (PARTITION BY customer_id ORDER BY order_date, order_id), order_date) AS gap\\n    FROM orders\\n)\\nSELECT\\n    customer_id,\\n    AVG(gap)::FLOAT AS average_gap_days,\\n    MAX(gap) AS longest_gap_days,\\n    STDDEV(gap)::FLOAT AS gap_deviation_days\\nFROM gaps\\nGROUP BY customer_id\\n)\\n)\", \"SOURCES\": {\"orders\": \"RAW.ORDERS\"}, \"FEATURES\": [{\"name\": \"AVERAGE_GAP_DAYS\", \"type\": \"FLOAT\", \"source_tables\": [\"RAW.ORDERS\"], \"source_columns\": [\"RAW.ORDERS.CUSTOMER_ID\", \"RAW.ORDERS.ORDER_DATE\", \"RAW.ORDERS.ORDER_ID\"], \"transformation\": \"CAST(AVG(GAP) AS DOUBLE)\\nGAP = DATEDIFF(\\n  DAY,\\n  LAG(ORDER_DATE) OVER (PARTITION BY CUSTOMER_ID ORDER BY ORDER_DATE, ORDER_ID),\\n  ORDER_DATE\\n)\"}, {\"name\": \"LONGEST_GAP_DAYS\", \"type\": \"FLOAT\", \"source_tables\": [\"RAW.ORDERS\"], \"source_columns\": [\"RAW.ORDERS.CUSTOMER_ID\", \"RAW.ORDERS.ORDER_DATE\", \"RAW.ORDERS.ORDER_ID\"], \"transformation\": \"MAX(GAP)\\nGAP = DATEDIFF(\\n  DAY,\\n  LAG(ORDER_DATE) OVER (PARTITION BY CUSTOMER_ID ORDER BY ORDER_DATE, ORDER_ID),\\n  ORDER_DATE\\n)\"}, {\"name\": \"GAP_DEVIATION_DAYS\", \"type\": \"FLOAT\", \"source_tables\": [\"RAW.ORDERS\"], \"source_columns\": [\"RAW.ORDERS.CUSTOMER_ID\", \"RAW.ORDERS.ORDER_DATE\", \"RAW.ORDERS.ORDER_ID\"], \"transformation\": \"CAST(STDDEV(GAP) AS DOUBLE)\\nGAP = DATEDIFF(\\n  DAY,\\n  LAG(ORDER_DATE) OVER (PARTITION BY CUSTOMER_ID ORDER BY ORDER_DATE, ORDER_ID),\\n  ORDER_DATE\\n)\"}], \"DEFINITION_SHA256\": \"802f796903a845cac29c1f0383ab9970fc0abf06bab3d5b720d2bfb880bea771\", \"RECORD_SHA256\": \"16bdb160b9d3fd8a64958f68e65f222e1135b8b841e578e6015f3a830a40139d\"}, {\"VIEW_NAME\": \"CHURN_LABEL\", \"FEATURE_VERSION\": 1, \"KIND\": \"label\", \"ENTITY\": [\"CUSTOMER_ID\"], \"OWNER\": null, \"DESCRIPTION\": \"label of pipeline churn\", \"TTL_SECONDS\": null, \"DEFINE\": \"features.py:churned\", \"DEFINITION\": \"def churned(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:\\n    \\\"\\\"\\\"1 for a customer without an order in the 90 days from ``as_of`` on, else 0.\\\"\\\"\\\"\\n    orders = sources[\\\"orders\\\"]  # ends one horizon after as_of\\n    return orders.group_by(\\\"CUSTOMER_ID\\\").agg(iff(max_(\\\"ORDER_DATE\\\") >= lit(as_of), lit(0), lit(1)).alias(\\\"CHURNED\\\"))\\n\\n\\nfrom __future__ import annotations\\nfrom collections.abc import Mapping\\nfrom datetime import datetime, timedelta\\nfrom snowflake.snowpark import Column, DataFrame, Window\\nfrom snowflake.snowpark.functions import avg, col, count, datediff, iff, lit, ntile\\nfrom snowflake.snowpark.functions import max as max_\\nfrom snowflake.snowpark.functions import sum as sum_\\ndef customer_orders(sources: Mapping[str, DataFrame], as_of: datetime) -> DataFrame:\\n    \\\"\\\"\\\"Recency, frequency and monetary value, trailing windows, and the RFM score from quintiles.\\\"\\\"\\\"\\n\\n    def spent_in_last(days: int) -> Column:\\n        recent = col(\\\"ORDER_DATE\\\") >= lit(as_of - timedelta(days=days))\\n        return sum_(iff(recent, col(\\\"AMOUNT\\\"), lit(0))).cast(\\\"FLOAT\\\")\\n\\n    customers = (\\n        sources[\\\"orders\\\"]\\n        .group_by(\\\"CUSTOMER_ID\\\")\\n        .agg(\\n            sum_(\\\"AMOUNT\\\").cast(\\\"FLOAT\\\").alias(\\\"TOTAL_SPENT\\\"),\\n            count(lit(1)).alias(\\\"ORDER_COUNT\\\"),\\n            avg(\\\"AMOUNT\\\").cast(\\\"FLOAT\\\").alias(\\\"AVERAGE_VALUE\\\"),\\n            datediff(\\\"day\\\", max_(\\\"ORDER_DATE\\\"), lit(as_of)).alias(\\\"DAYS_SINCE_LAST_ORDER\\\"),\\n            spent_in_last(30).alias(\\\"SPENT_30_DAYS\\\"),\\n            spent_in_last(90).alias(\\\"SPENT_90_DAYS\\\"),\\n            spent_in_last(180).alias(\\\"SPENT_180_DAYS\\\"),\\n        )\\n    )\\n    # The key breaks ties, so that the same rows always get the same quintiles.\\n    return customers.with_column(\\n        \\\"RFM_SCORE\\\",\\n        ntile(lit(5)).over(Window.order_by(col(\\\"DAYS_SINCE_LAST_ORDER\\\").desc(), col(\\\"CUSTOMER_ID\\\")))\\n        + ntile(lit(5)).over(Window.order_by(col(\\\"ORDER_COUNT\\\"), col(\\\"CUSTOMER_ID\\\")))\\n        + ntile(lit(5)).over(Window.order_by(col(\\\"TOTAL_SPENT\\\"), col(\\\"CUSTOMER_ID\\\"))),\\n    )\", \"QUERY_SHAPE\": \"(SELECT compiled /* what Snowpark makes of the definition */\\n)\", \"SOURCES\": {}, \"FEATURES\": [{\"name\": \"CHURNED\", \"type\": \"FLOAT\", \"source_tables\": [], \"source_columns\": null, \"transformation\": \"unknown\"}], \"DEFINITION_SHA256\": \"df7942995d427ec058821e6a631c0e579d39ad8ebdc100ab3d04fc54996070b8\", \"RECORD_SHA256\": \"82c067cd065e9d9759c2bfa54174dbd38ae3fffd9faafff092bbfa04d344003f\"}]"]
MERGE INTO "FEATURE_STORE"."FEATURE_VIEWS" AS t
USING (SELECT f.VALUE:VIEW_NAME::VARCHAR AS VIEW_NAME, f.VALUE:FEATURE_VERSION::NUMBER AS FEATURE_VERSION, f.VALUE:KIND::VARCHAR AS KIND, f.VALUE:ENTITY::ARRAY AS ENTITY, f.VALUE:OWNER::VARCHAR AS OWNER, f.VALUE:DESCRIPTION::VARCHAR AS DESCRIPTION, f.VALUE:TTL_SECONDS::NUMBER AS TTL_SECONDS, f.VALUE:DEFINE::VARCHAR AS DEFINE, f.VALUE:DEFINITION::VARCHAR AS DEFINITION, f.VALUE:QUERY_SHAPE::VARCHAR AS QUERY_SHAPE, f.VALUE:SOURCES::VARIANT AS SOURCES, f.VALUE:FEATURES::ARRAY AS FEATURES, f.VALUE:DEFINITION_SHA256::VARCHAR AS DEFINITION_SHA256, f.VALUE:RECORD_SHA256::VARCHAR AS RECORD_SHA256, ?::VARCHAR AS PIPELINE, CURRENT_USER() AS CREATED_BY, ?::TIMESTAMP_NTZ AS CREATED_AT FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f) AS s
ON t.VIEW_NAME = s.VIEW_NAME AND t.FEATURE_VERSION = s.FEATURE_VERSION
WHEN MATCHED THEN UPDATE SET KIND = s.KIND, ENTITY = s.ENTITY, OWNER = s.OWNER, DESCRIPTION = s.DESCRIPTION, TTL_SECONDS = s.TTL_SECONDS, DEFINE = s.DEFINE, DEFINITION = s.DEFINITION, QUERY_SHAPE = s.QUERY_SHAPE, SOURCES = s.SOURCES, FEATURES = s.FEATURES, DEFINITION_SHA256 = s.DEFINITION_SHA256, RECORD_SHA256 = s.RECORD_SHA256
WHEN NOT MATCHED THEN INSERT (VIEW_NAME, FEATURE_VERSION, KIND, ENTITY, OWNER, DESCRIPTION, TTL_SECONDS, DEFINE, DEFINITION, QUERY_SHAPE, SOURCES, FEATURES, DEFINITION_SHA256, RECORD_SHA256, PIPELINE, CREATED_BY, CREATED_AT) VALUES (s.VIEW_NAME, s.FEATURE_VERSION, s.KIND, s.ENTITY, s.OWNER, s.DESCRIPTION, s.TTL_SECONDS, s.DEFINE, s.DEFINITION, s.QUERY_SHAPE, s.SOURCES, s.FEATURES, s.DEFINITION_SHA256, s.RECORD_SHA256, s.PIPELINE, s.CREATED_BY, s.CREATED_AT);

CREATE OR REPLACE VIEW "FEATURE_STORE"."CHURN_FEATURES" COMMENT = 'snowsage: pipeline churn; features of every entity at the latest run''s logical date' AS
SELECT v0."CUSTOMER_ID" AS "CUSTOMER_ID", v0."AS_OF" AS "AS_OF",
  CAST(v0."TOTAL_SPENT" AS FLOAT) AS "TOTAL_SPENT", CAST(v0."ORDER_COUNT" AS FLOAT) AS "ORDER_COUNT", CAST(v0."AVERAGE_VALUE" AS FLOAT) AS "AVERAGE_VALUE", CAST(v0."DAYS_SINCE_LAST_ORDER" AS FLOAT) AS "DAYS_SINCE_LAST_ORDER", CAST(v0."DAYS_SINCE_FIRST_ORDER" AS FLOAT) AS "DAYS_SINCE_FIRST_ORDER", CAST(v0."SPENT_30_DAYS" AS FLOAT) AS "SPENT_30_DAYS", CAST(v0."SPENT_90_DAYS" AS FLOAT) AS "SPENT_90_DAYS", CAST(v0."SPENT_180_DAYS" AS FLOAT) AS "SPENT_180_DAYS", CAST(v0."RFM_SCORE" AS FLOAT) AS "RFM_SCORE", CAST(v1."AVERAGE_GAP_DAYS" AS FLOAT) AS "AVERAGE_GAP_DAYS", CAST(v1."LONGEST_GAP_DAYS" AS FLOAT) AS "LONGEST_GAP_DAYS", CAST(v1."GAP_DEVIATION_DAYS" AS FLOAT) AS "GAP_DEVIATION_DAYS"
FROM (SELECT "CUSTOMER_ID", "AS_OF", "TOTAL_SPENT", "ORDER_COUNT", "AVERAGE_VALUE", "DAYS_SINCE_LAST_ORDER", "DAYS_SINCE_FIRST_ORDER", "SPENT_30_DAYS", "SPENT_90_DAYS", "SPENT_180_DAYS", "RFM_SCORE" FROM "FEATURE_STORE"."CUSTOMER_ORDERS" WHERE (AS_OF = '1998-07-01 00:00:00'::TIMESTAMP_NTZ AND FEATURE_VERSION = 1 AND KNOWN_AT = '1998-07-01 06:30:00'::TIMESTAMP_NTZ)) AS v0
LEFT JOIN (SELECT "CUSTOMER_ID", "AS_OF", "AVERAGE_GAP_DAYS", "LONGEST_GAP_DAYS", "GAP_DEVIATION_DAYS" FROM "FEATURE_STORE"."CUSTOMER_RHYTHM" WHERE (AS_OF = '1998-07-01 00:00:00'::TIMESTAMP_NTZ AND FEATURE_VERSION = 1 AND KNOWN_AT = '1998-07-01 06:30:00'::TIMESTAMP_NTZ)) AS v1 ON v0."CUSTOMER_ID" = v1."CUSTOMER_ID" AND v0."AS_OF" = v1."AS_OF";
