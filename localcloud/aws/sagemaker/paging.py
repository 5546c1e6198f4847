"""SageMaker's List operations: filters, sorting, and pages with an opaque token.

Without ``SortBy`` SageMaker sorts by creation time.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.utils import parse_to_aware_datetime

from localcloud.aws.http.protocol import Params, ValidationException

_DEFAULT_PAGE = 10


def page(
    items: Iterable[Params],
    params: Params,
    *,
    name: str,
    status: str | None,
    key: str,
    order: str = "Descending",
    sort_keys: Mapping[str, Callable[[Params], Any]] | None = None,
) -> Params:
    """One page of summaries under ``key``.

    ``name`` and ``status``: the members that hold a summary's name and status. ``order``: the default of ``SortOrder``.
    ``sort_keys``: further values of ``SortBy`` that the operation has, with their sort keys.
    """
    chosen = [item for item in items if _wanted(item, params, name, status)]
    by: dict[str, Callable[[Params], Any]] = {
        "Name": lambda item: item[name],
        "CreationTime": lambda item: item["CreationTime"],
        "Status": lambda item: item[status] if status else "",
        **(sort_keys or {}),
    }
    chosen.sort(key=by[params.get("SortBy", "CreationTime")], reverse=params.get("SortOrder", order) == "Descending")
    start = _offset(params.get("NextToken"))
    end = start + params.get("MaxResults", _DEFAULT_PAGE)
    answer: Params = {key: chosen[start:end]}
    if end < len(chosen):
        answer["NextToken"] = base64.urlsafe_b64encode(f"from:{end}".encode()).decode()
    return answer


def _wanted(item: Params, params: Params, name: str, status: str | None) -> bool:
    if params.get("NameContains", "").lower() not in item[name].lower():
        return False
    if status and params.get("StatusEquals", item[status]) != item[status]:
        return False
    for member in ("CreationTime", "LastModifiedTime"):
        after, before = params.get(f"{member}After"), params.get(f"{member}Before")
        if after is not None and item[member] <= _time(after):
            return False
        if before is not None and item[member] >= _time(before):
            return False
    return True


def _time(value: Any) -> dt.datetime:
    moment: dt.datetime = parse_to_aware_datetime(value)
    return moment


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("from:"))
    except ValueError as error:
        raise ValidationException("The pagination token is not valid.") from error
