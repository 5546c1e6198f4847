"""The categories of a text column: those that the view declares, or the values that its training rows have."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import CallerError
from app.features.definitions.column_rules import in_language
from app.spec import FeatureView
from app.sql import Name


@dataclass(frozen=True)
class TextValues:
    """The distinct values of a column in training rows. ``values``: sorted, at most one more than its limit. ``count``: how many
    there are, at least.
    """

    values: tuple[str, ...]
    count: int


def categories_of(view: FeatureView, column: str, read: TextValues | None) -> tuple[str, ...]:
    """The categories of a text column. Raises CallerError for one with no values, or with more than the view's limit."""
    if declared := view.listed(column):
        return declared
    if read is None or not read.values:
        raise CallerError(
            f"view {view.view}: every value of {column} is NULL in the training rows; correct its definition or leave it out"
        )
    if read.count > view.categories_limit:
        name = Name.of(column)
        rare = in_language(
            view.define,
            f"CASE WHEN {name} IN ('...') THEN {name} ELSE 'other' END AS {name}",
            f"F.when(F.col({str(name)!r}).isin('...'), F.col({str(name)!r})).otherwise('other').alias({str(name)!r})",
        )
        raise CallerError(
            f"view {view.view}: {column} is a text with {read.count:,} distinct values in the training rows, more than "
            f"categories_limit: {view.categories_limit}. Map rare values to one in {view.define}, `{rare}`; or list those that "
            f"count in the view, `categories: {{{name}: [...]}}` with `unknown: {{{name}: null}}`; or raise the limit, "
            f"`categories_limit: {read.count}`; or leave the column out, as an identifier or a free text"
        )
    return read.values
