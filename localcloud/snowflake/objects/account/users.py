"""CREATE, ALTER and DROP USER.

Users log in with keys only: passwords are not supported, and a user without a key cannot log in. A new key takes effect
at the next login.
"""

from __future__ import annotations

from typing import Any

from localcloud.snowflake.failures import compilation, missing_object, unsupported
from localcloud.snowflake.objects.account import parameters
from localcloud.snowflake.objects.account import syntax as ast
from localcloud.snowflake.objects.account.authentication import KEY_SLOTS, Key, User, load_key
from localcloud.snowflake.objects.account.catalog import Catalog
from localcloud.snowflake.objects.feature import CreateHead
from localcloud.snowflake.objects.schema_statements import already_exists
from localcloud.snowflake.result import Result, done, status
from localcloud.snowflake.sessions.session import Session
from localcloud.snowflake.sql.syntax import Name, Statement
from localcloud.snowflake.sql.tokens import OptionParser, TokenStream, boolean_option, choice_option, text_option


def _name_or_text(stream: TokenStream, _name: str) -> str:
    """``role``, ``db.schema``, or the same as a quoted text."""
    if stream.is_string():
        return stream.string().upper()
    return str(stream.name())


def _no_password(_stream: TokenStream, _name: str) -> str:
    raise unsupported("passwords; set the user's RSA_PUBLIC_KEY")


_OPTIONS: dict[str, OptionParser] = {
    **dict.fromkeys(KEY_SLOTS, text_option),
    **dict.fromkeys(("DEFAULT_ROLE", "DEFAULT_WAREHOUSE", "DEFAULT_NAMESPACE"), _name_or_text),
    **dict.fromkeys(("LOGIN_NAME", "DISPLAY_NAME", "FIRST_NAME", "LAST_NAME", "EMAIL", "COMMENT"), text_option),
    "DISABLED": boolean_option,
    "TYPE": choice_option("PERSON", "SERVICE", "LEGACY_SERVICE"),
    "PASSWORD": _no_password,
    **parameters.OPTIONS,
}


def create_user(stream: TokenStream, head: CreateHead) -> Statement:
    return head.make(ast.CreateUser, options=tuple(stream.options(_OPTIONS).items()))


def alter_user(stream: TokenStream) -> Statement:
    stream.expect("ALTER", "USER")
    exists = stream.accept("IF", "EXISTS")
    name = stream.name()
    if stream.accept("SET"):
        return ast.AlterUser(name, exists, tuple(stream.options(_OPTIONS).items()))
    stream.expect("UNSET")
    names = [stream.one_of(*_OPTIONS)]
    while stream.accept(","):
        names.append(stream.one_of(*_OPTIONS))
    return ast.AlterUser(name, exists, tuple((one, None) for one in names))


def create(session: Session, statement: ast.CreateUser) -> Result:
    users, name = session.account.state(Catalog).users, statement.name.name
    if name in users and not statement.or_replace:
        return already_exists(statement)
    user = User(name, owner=session.role)
    _change(user, statement.options)
    users.put(user)
    return status(f"User {name} successfully created.")


def alter(session: Session, statement: ast.AlterUser) -> Result:
    user = session.account.state(Catalog).users.get(statement.name.name)
    if user is None:
        if statement.if_exists:
            return done()
        raise missing_object(statement.name.name, "User")
    _change(user, statement.options)
    return done()


def drop(session: Session, name: Name) -> bool:
    return session.account.state(Catalog).users.drop(name.name)


def _change(user: User, options: tuple[tuple[str, str | int | bool | None], ...]) -> None:
    """Apply all changes, or none if a key is invalid."""
    changed: dict[str, Any] = dict(options)
    set_ = {name: changed.pop(name) for name in list(changed) if name in parameters.PARAMETERS}
    keys = {slot: changed.pop(slot) for slot in KEY_SLOTS if slot in changed}
    loaded = {slot: _key(str(text)) for slot, text in keys.items() if text is not None}
    user.keys = {**{slot: key for slot, key in user.keys.items() if slot not in keys}, **loaded}
    parameters.change(user.parameters, set_)
    kept = {name: value for name, value in {**user.options, **changed}.items() if value is not None}
    user.options = kept


def _key(text: str) -> Key:
    try:
        return load_key(text)
    except ValueError:
        raise compilation(1_008, "22023", "invalid value for parameter 'RSA_PUBLIC_KEY'") from None
