"""The format of the direct API: rows by column name, and predictions with the version that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.deploy.live import LiveVersion
from app.serve.codecs.body import MOST_ROWS, parse_array
from app.serve.codecs.columns import decode_objects, no_rows, read_plain
from app.serve.codecs.outputs import answers
from app.serve.rows import Reply, Rows, Scored


def decode(body: bytes, live: LiveVersion, _: Mapping[str, str], most: int = MOST_ROWS) -> Rows:
    """``{"rows": [{"COLUMN": value, ...}, ...]}`` as rows in order.

    Every feature must be present in every row, unless the rules read an absent one as NULL; the entity key may be. A name that
    the contract does not have is tried in upper case. Raises CallerError, which names the first faulty row and the fault, never
    a value, unless the rules set such rows aside.
    """
    plain = read_plain(body, live, numbered=False, key_required=False, fold_case=True, most=most)
    if plain is not None:
        return plain
    rows = parse_array(body, "rows", most)
    return decode_objects(live, rows, key_required=False, fold_case=True) if rows else no_rows(live)


def encode_reply(scored: Scored, rows: Rows, live: LiveVersion) -> Reply:
    """``{"model": ..., "version": ..., "predictions": [...]}`` in the order of the rows.

    In an experiment also ``versions``, that of each row; ``version`` is then as in the response header.
    """
    answer: dict[str, Any] = {"model": live.model, "version": scored.version(live.version)}
    if scored.assignment is not None:
        answer["versions"] = scored.assignment.versions()
    answer["predictions"] = answers(scored, rows, live)
    return Reply(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
