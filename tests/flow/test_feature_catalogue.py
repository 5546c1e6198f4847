"""What a user sees of the feature store from the command line, and keeps clean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.running import Clouds


def test_every_feature_is_listed_with_origin_freshness_and_use(deployed: Clouds) -> None:
    listed = json.loads(deployed.snowsage("features", "--list", "--json").stdout)
    found = {(item["view"], item["feature"]): item for item in listed if item["version"] == 1}
    gap = found["CUSTOMER_RHYTHM", "LONGEST_GAP_DAYS"]
    assert gap["source_tables"] == ["RAW.ORDERS"]
    assert gap["source_columns"] == ["RAW.ORDERS.CUSTOMER_ID", "RAW.ORDERS.ORDER_DATE", "RAW.ORDERS.ORDER_ID"]
    assert gap["transformation"].startswith("MAX(GAP)\nGAP = DATEDIFF(")
    assert (gap["type"], gap["entity"], gap["pipeline"], gap["define"]) == (
        "FLOAT",
        ["CUSTOMER_ID"],
        "churn",
        "rhythm.sql",
    )
    assert "churn" in gap["used_by"]
    assert gap["last_as_of"] >= "1998-07-01"
    assert 0 < gap["null_rate"] < 1, "customers with one order have no gap"
    assert found["CUSTOMER_ORDERS", "ORDER_COUNT"]["null_rate"] == 0
    assert ("CHURN_LABEL", "CHURNED") not in found
    assert "LONGEST_GAP_DAYS" in deployed.snowsage("features", "--list").stdout


def test_a_view_is_shown_with_its_definition(deployed: Clouds) -> None:
    (version,) = json.loads(deployed.snowsage("features", "--show", "customer_orders", "--json").stdout)
    assert version["definition"].startswith("def customer_orders(")
    assert "'as_of - 30 days'" in version["query"]
    said = deployed.snowsage("features", "--show", "customer_rhythm").stdout
    assert "used by" in said
    assert "-- How regularly a customer orders" in said
    unknown = deployed.attempt("features", "--show", "nothing")
    assert unknown.returncode == 2
    assert "the feature store has no view NOTHING; its views are " in unknown.stderr


def test_the_catalogue_has_the_columns_of_a_lineage(deployed: Clouds) -> None:
    query = (
        "SELECT FEATURE_NAME, SOURCE_TABLES, TRANSFORMATION_LOGIC, CREATED_BY, CREATED_AT FROM FEATURE_STORE.FEATURE_CATALOG "
        "WHERE VIEW_NAME = 'CUSTOMER_ORDERS' AND FEATURE_NAME = 'TOTAL_SPENT'"
    )
    ((name, tables, logic, user, at),) = deployed.query(query)
    assert (name, json.loads(tables), logic) == ("TOTAL_SPENT", ["RAW.ORDERS"], 'CAST(SUM("AMOUNT") AS DOUBLE)')
    assert user
    assert at.year > 2000


@pytest.mark.slow
def test_a_backfill_computes_slices_once_and_continues(deployed: Clouds, pipeline: Path) -> None:
    asked = ("features", str(pipeline), "--from", "1997-03-05", "--every", "5days", "--json")
    planned = json.loads(deployed.snowsage(*asked, "--to", "1997-03-11", "--dry-run").stdout)
    assert (len(planned["times"]), planned["missing"], planned["found"]) == (2, 4, 0)
    done = json.loads(deployed.snowsage(*asked, "--to", "1997-03-11").stdout)
    assert (done["computed"], done["found"]) == (4, 0)
    more = json.loads(deployed.snowsage(*asked, "--to", "1997-03-15").stdout)
    assert (more["computed"], more["found"]) == (2, 4)
    rows = deployed.query(
        "SELECT COUNT(DISTINCT AS_OF) FROM FEATURE_STORE.CUSTOMER_ORDERS WHERE AS_OF IN ('1997-03-05', '1997-03-10', '1997-03-15')"
    )
    assert rows == [(3,)]
    incomplete = deployed.attempt("features", str(pipeline), "--from", "1997-03-05")
    assert incomplete.returncode == 2
    assert "a backfill needs --from, --to and --every" in incomplete.stderr
