"""The results of a run of the churn pipeline in Snowflake, without times, to compare two runs.

PSI is compared to nine digits: it is a sum of floats, and SQL promises no order in which its terms are added.
"""

from __future__ import annotations

from typing import Any

from tests.support.running import Clouds

_QUERIES = {
    "versions": "SELECT MODEL, VERSION, STAGE, IS_DEFAULT, FINGERPRINT, RUN_ID, METRICS FROM ML.MODEL_REGISTRY",
    "scores": "SELECT COUNT(*) N, COUNT(DISTINCT CUSTOMER_ID) C, "
    "HASH_AGG(CUSTOMER_ID, AS_OF, SCORE, LABEL, MODEL_VERSION, RUN_ID) H "
    "FROM ANALYTICS.CHURN_SCORES",
    "drift": "SELECT FEATURE, ROUND(PSI, 9) PSI, ROW_COUNT, DRIFTED FROM ML.DRIFT ORDER BY FEATURE",
    "slices": "SELECT VIEW_NAME, FEATURE_VERSION, AS_OF, DEFINITION_SHA256, SOURCES_SHA256, ROW_COUNT, RUN_ID "
    "FROM FEATURE_STORE.FEATURE_LINEAGE ORDER BY VIEW_NAME, AS_OF",
    "features": "SELECT COUNT(*) N, HASH_AGG(CUSTOMER_ID, AS_OF, TOTAL_SPENT, RFM_SCORE) H FROM FEATURE_STORE.CUSTOMER_ORDERS",
    "stages": "SELECT RUN_ID, STAGE FROM ML.RUNS ORDER BY STAGE",
    "tables": "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA IN ('ML', 'ANALYTICS', "
    "'FEATURE_STORE') ORDER BY TABLE_SCHEMA, TABLE_NAME",
}


def run_results(clouds: Clouds) -> dict[str, Any]:
    return {name: clouds.query(statement) for name, statement in _QUERIES.items()}
