"""The SQL function's overloads: which statements are needed, who owns them, and grants that survive a replacement."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.deploy.overloads import FunctionGrant, Overload, claim_overloads, find_overloads, plan_functions
from app.deploy.plan import forms_of
from app.errors import CallerError, NotFound
from app.ownership import comment
from app.ports import Table
from app.sql import Name, Statement
from tests.support.fakes import FakeWarehouse
from tests.support.statements import read
from tests.unit import churn

NAME, READER = Name.of("ML", "PREDICT_CHURN"), Name.of("SNOWSAGE_READER")
FORMS = forms_of(churn.PIPELINE, churn.CONTRACT, churn.platform())
TYPED, OBJECT = (form.types for form in FORMS)
URL = "https://abc123.execute-api.eu-central-1.amazonaws.com/prod/"
ANALYST, ETL = FunctionGrant("ROLE", "ANALYST"), FunctionGrant("DATABASE ROLE", "DB.Etl", grantable=True)
AS_WANTED = [Overload(form.types, form.comment(READER), (ANALYST,)) for form in FORMS]


def planned(*found: Overload, reader: Name | None = READER) -> list[str]:
    statements = plan_functions("churn", FORMS, found, reader)
    for statement in statements:
        read(statement.text.replace("DATABASE ROLE", "ROLE").replace('"DB"."Etl"', '"E"'))
    return [statement.text for statement in statements]


def verbs(texts: list[str]) -> list[str]:
    return [text.split()[0] for text in texts]


def granted(texts: list[str]) -> list[tuple[str, str]]:
    """(arguments, grantee) of each GRANT."""
    parts = [text.removeprefix("GRANT USAGE ON FUNCTION ").split(") TO ") for text in texts if text.startswith("GRANT")]
    return [(function.partition("(")[2], role) for function, role in parts]


def test_new_functions_are_granted_to_the_reader() -> None:
    texts = planned()
    assert verbs(texts) == ["CREATE", "GRANT", "ALTER"] * 2
    assert [role for _, role in granted(texts)] == ['ROLE "SNOWSAGE_READER"'] * 2
    assert verbs(planned(reader=None)) == ["CREATE", "CREATE"]


def test_functions_that_are_as_wanted_are_not_changed() -> None:
    """A revoked grant stays revoked, and one that was given by hand stays."""
    assert planned(*AS_WANTED) == []


def test_another_contract_with_the_same_arguments_changes_only_the_comment() -> None:
    other = [
        Overload(each.types, each.comment.replace(churn.CONTRACT.fingerprint, "0123"), each.grants)
        for each in AS_WANTED
    ]
    texts = planned(*other)
    assert verbs(texts) == ["ALTER", "ALTER"]
    assert churn.CONTRACT.fingerprint in texts[0]


def test_a_replaced_function_gets_its_grants_back_and_no_others() -> None:
    old = [Overload(form.types, comment("churn", "scores; ddl 00000000"), (ANALYST, ETL)) for form in FORMS]
    texts = planned(*old)
    assert verbs(texts) == ["CREATE", "GRANT", "GRANT", "GRANT", "ALTER"] * 2
    roles = {role for _, role in granted(texts)}
    assert roles == {'ROLE "ANALYST"', 'ROLE "SNOWSAGE_READER"', 'DATABASE ROLE "DB"."Etl" WITH GRANT OPTION'}


def test_a_run_that_was_killed_before_the_grants_gives_them_again() -> None:
    old = [Overload(form.types, comment("churn", "scores; ddl 00000000"), (ANALYST,)) for form in FORMS]
    created = plan_functions("churn", FORMS, old, None)[0].text
    left = created.partition("COMMENT = '")[2].partition("'\n")[0]
    assert json.loads(left.partition("; granting ")[2]) == [["ROLE", "ANALYST", False]]
    texts = planned(Overload(TYPED, left), AS_WANTED[1], reader=None)
    assert granted(texts)[0][1] == 'ROLE "ANALYST"'


def test_a_form_with_other_arguments_hands_its_grants_on_and_is_dropped_last() -> None:
    outdated = Overload(("NUMBER", "FLOAT"), comment("churn", "scores"), (ANALYST,))
    texts = planned(outdated, AS_WANTED[1])
    assert verbs(texts) == ["CREATE", "GRANT", "GRANT", "ALTER", "DROP"]
    assert {role for _, role in granted(texts)} == {'ROLE "ANALYST"', 'ROLE "SNOWSAGE_READER"'}
    assert texts[-1] == 'DROP FUNCTION IF EXISTS "ML"."PREDICT_CHURN"(NUMBER, FLOAT)'


def test_an_overload_of_someone_else_with_other_arguments_is_not_changed() -> None:
    theirs = Overload(("VARCHAR",), "our own", url="https://elsewhere")
    claim_overloads("churn", NAME, [theirs], [TYPED, OBJECT], URL)
    assert planned(*AS_WANTED, theirs) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Overload(OBJECT, comment("other", "scores")),
            r"function ML\.PREDICT_CHURN\(OBJECT\) belongs to pipeline other, .*; write another name for serving\.function",
        ),
        (Overload(("VARCHAR",), comment("other", "scores")), "belongs to pipeline other"),
        (Overload(OBJECT, "snowsage: scores of model other; contract 0a"), "belongs to pipeline other"),
        (Overload(OBJECT, "mine", url=f"{URL}predict/other"), "exists and no pipeline made it"),
    ],
)
def test_functions_of_others_are_not_replaced(found: Overload, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        claim_overloads("churn", NAME, [found], [TYPED, OBJECT], URL)


@pytest.mark.parametrize(
    "found",
    [
        Overload(OBJECT, "snowsage: scores of model churn; contract 0a"),
        Overload(OBJECT, "a comment by hand", url=f"{URL}predict/churn"),
    ],
)
def test_a_function_from_before_the_rule_is_adopted(found: Overload) -> None:
    claim_overloads("churn", NAME, [found], [TYPED, OBJECT], URL)
    assert "snowsage: pipeline churn;" in planned(AS_WANTED[0], found)[-1]


# --- what exists ----------------------------------------------------------------------------------------------------------


def listed(*rows: tuple[Any, ...]) -> Table:
    return Table(("name", "is_builtin", "arguments", "description"), list(rows))


def test_overloads_are_read_with_their_grants() -> None:
    def grants(statement: Statement) -> Table:
        columns = ("privilege", "granted_to", "grantee_name", "grant_option")
        rows = [
            ("OWNERSHIP", "ROLE", "SNOWSAGE_PIPELINE", "true"),
            ("USAGE", "ROLE", "ANALYST", "false"),
            ("USAGE", "SHARE", "OUT", "false"),
        ]
        return Table(columns, rows if "FLOAT" in statement.text else [])

    owned = comment("churn", "scores")
    warehouse = FakeWarehouse(
        {
            "SHOW FUNCTIONS": listed(
                ("PREDICT_CHURN", "N", "PREDICT_CHURN(NUMBER(38,0), DEFAULT FLOAT) RETURN FLOAT", owned),
                ("PREDICT_CHURN", "N", "PREDICT_CHURN() RETURN FLOAT", None),
                ("PREDICT_CHURN_2", "N", "PREDICT_CHURN_2() RETURN FLOAT", owned),
            ),
            "SHOW GRANTS": grants,
            "DESCRIBE FUNCTION": [("signature", "()"), ("body", "https://x")],
        }
    )
    assert find_overloads(warehouse, NAME) == (
        Overload(("NUMBER", "FLOAT"), owned, (ANALYST,)),
        Overload((), "", (), "https://x"),
    )
    for text in warehouse.texts:
        read(text)


def test_a_function_of_another_role_may_hide_its_grants() -> None:
    shown = listed(("PREDICT_CHURN", "N", "PREDICT_CHURN(OBJECT) RETURN FLOAT", None))
    hidden = NotFound("does not exist or not authorized")
    warehouse = FakeWarehouse({"SHOW FUNCTIONS": shown, "SHOW GRANTS": hidden, "DESCRIBE": hidden})
    assert find_overloads(warehouse, NAME) == (Overload(OBJECT, ""),)


def test_a_schema_that_does_not_exist_has_no_functions() -> None:
    assert find_overloads(FakeWarehouse({"SHOW": NotFound("none")}), NAME) == ()
