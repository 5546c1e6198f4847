"""A cursor over sqlglot's Snowflake tokens for recursive-descent parsers.

Errors have Snowflake's codes: 001003 for syntax, 001420 for an unknown parameter, 001008 for a wrong value. A stage path is not a
token of SQL: it is read from the text, and the tokens under it are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snowflake.connector.errors import ProgrammingError
from sqlglot.dialects.snowflake import Snowflake
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import TokenType

from localcloud.snowflake.failures import compilation, syntax, unsupported
from localcloud.snowflake.sql.syntax import Name, StagePath

_PART = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_STAGE = re.compile(rf"@(?P<stage>~|(?:{_PART}\.)*%?{_PART})(?:/(?P<path>[^\s();,']*))?")
_QUOTED_STAGE = re.compile(rf"@(?P<stage>~|(?:{_PART}\.)*%?{_PART})(?:/(?P<path>.*))?", re.DOTALL)
_OF_TABLE = re.compile(rf"(?:{_PART}\.)*%")
# In PUT and GET only the first word is SQL: a client's path may contain the start of a comment.
_COMMAND = re.compile(r"(?:\s|/\*.*?\*/)*(?P<word>PUT|GET|LIST|LS|REMOVE|RM)\s+(?=['@?f])", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][\w$]*")
_DEPTH = {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}

OptionParser = Callable[["TokenStream", str], Any]


@dataclass(frozen=True)
class Token:
    text: str
    token_type: TokenType
    start: int


def _tokens(sql: str) -> Iterator[Token]:
    """sqlglot's tokens, with keywords of several words (``STORAGE INTEGRATION``) split."""
    for token in Snowflake().tokenize(sql):
        if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            yield Token(token.text, token.token_type, token.start)
            continue
        if token.token_type is TokenType.RAW_STRING:
            yield Token(token.text, TokenType.STRING, token.start)
            continue
        if token.token_type in (TokenType.COMMAND, TokenType.EXECUTE) and token.text.upper() in ("CALL", "EXECUTE"):
            # The tokenizer returns what follows as one text.
            yield Token(token.text, token.token_type, token.start)
            yield from _tokens(" " * (token.end + 1) + sql[token.end + 1 :])
            return
        for word in re.finditer(r"\S+", sql[token.start : token.end + 1]):
            yield Token(word.group(), token.token_type, token.start + word.start())


def _statement_tokens(sql: str) -> Iterator[Token]:
    """The tokens of a statement; after some first words sqlglot would return the rest as one text."""
    command = _COMMAND.match(sql)
    if command is None:
        yield from _tokens(sql)
        return
    end = command.end()
    yield Token(command["word"], TokenType.VAR, command.start("word"))
    if command["word"].upper() not in ("PUT", "GET"):
        for token in _tokens(sql[end:]):
            yield Token(token.text, token.token_type, end + token.start)


class TokenStream:
    """A position in one statement."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        try:
            self._tokens = list(_statement_tokens(sql))
        except TokenError as error:
            raise compilation(1003, "42000", "syntax error: unterminated literal or comment.") from error
        while self._tokens and self._tokens[-1].token_type is TokenType.SEMICOLON:
            self._tokens.pop()
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._tokens)

    @property
    def position(self) -> int:
        """Offset of the next token in the text."""
        return len(self.sql) if self.done else self._tokens[self._at].start

    def words(self, count: int) -> tuple[str, ...]:
        """The next ``count`` tokens in upper case; the position does not change."""
        return tuple(token.text.upper() for token in self._tokens[self._at : self._at + count])

    def unexpected(self) -> ProgrammingError:
        found = "<EOF>" if self.done else self._tokens[self._at].text
        return syntax(f"unexpected '{found}'", self.sql, self.position)

    def end(self) -> None:
        if not self.done:
            raise self.unexpected()

    def accept(self, *words: str) -> bool:
        """Skip ``words`` if all of them come next; returns whether they did."""
        found = self._tokens[self._at : self._at + len(words)]
        if len(found) != len(words) or any(
            not _is_plain(token) or token.text.upper() != word for token, word in zip(found, words, strict=True)
        ):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.unexpected()

    def one_of(self, *words: str) -> str:
        for word in words:
            if self.accept(*word.split()):
                return word
        raise self.unexpected()

    def _take(self) -> Token:
        if self.done:
            raise self.unexpected()
        token = self._tokens[self._at]
        self._at += 1
        return token

    def is_string(self) -> bool:
        """Whether a text in single quotes comes next."""
        return not self.done and self._tokens[self._at].token_type is TokenType.STRING

    def string(self) -> str:
        if not self.is_string():
            raise self.unexpected()
        return self._take().text

    def literal(self) -> str | None:
        """The text that comes next, or ``None`` if another token does."""
        return None if self.done or self._tokens[self._at].token_type is not TokenType.STRING else self._take().text

    def skip_rest(self) -> str:
        """The rest of the text, for syntax that is not made of SQL's tokens."""
        rest = self.sql[self.position :] if not self.done else ""
        self._at = len(self._tokens)
        return rest

    def integer(self) -> int:
        if self.done or not self._tokens[self._at].text.isdecimal():
            raise self.unexpected()
        return int(self._take().text)

    def identifier(self) -> str:
        """One part of a name, as Snowflake stores it."""
        if self.done:
            raise self.unexpected()
        token = self._tokens[self._at]
        if token.token_type is TokenType.IDENTIFIER:
            return self._take().text
        if token.token_type is TokenType.STRING or not _WORD.fullmatch(token.text):
            raise self.unexpected()
        return self._take().text.upper()

    def name(self) -> Name:
        """``a.b.c``, ``a..c`` (in the schema PUBLIC), or ``IDENTIFIER('a.b.c')``."""
        if self.words(2) == ("IDENTIFIER", "("):
            self.expect("IDENTIFIER", "(")
            inner = TokenStream(self.string())
            self.expect(")")
            found = inner.name()
            inner.end()
            return found
        parts = [self.identifier()]
        while self.accept("."):
            parts.append("PUBLIC" if len(parts) == 1 and self.words(1) == (".",) else self.identifier())
        if len(parts) > 3:
            raise self.unexpected()
        return _name(parts)

    def boolean(self) -> bool:
        return self.one_of("TRUE", "FALSE") == "TRUE"

    def strings(self) -> tuple[str, ...]:
        """``('a', 'b')``, at least one."""
        self.expect("(")
        values = [self.string()]
        while self.accept(","):
            values.append(self.string())
        self.expect(")")
        return tuple(values)

    def stage_path(self) -> StagePath:
        """``@stage/path`` or the same in single quotes."""
        quoted = self.is_string()
        text = self.string() if quoted else self.sql[self.position :]
        match = _QUOTED_STAGE.fullmatch(text) if quoted else _STAGE.match(text)
        if match is None:
            raise self.unexpected()
        if not quoted:
            self._skip_to(self.position + match.end())
        written, path = match["stage"], match["path"] or ""
        if written == "~":
            return StagePath(Name("~"), path, "USER")
        stage = TokenStream(written.replace("%", "", 1) if _OF_TABLE.match(written) else written)
        name = stage.name()
        stage.end()
        return StagePath(name, path, "TABLE" if _OF_TABLE.match(written) else "NAMED")

    def _skip_to(self, offset: int) -> None:
        while not self.done and self._tokens[self._at].start < offset:
            self._at += 1

    def skip(self) -> None:
        """Skip one token."""
        self._take()

    def parenthesised(self) -> str:
        """The text between this parenthesis and the one that closes it."""
        start = self.position + 1
        self.expect("(")
        depth = 1
        while depth:
            token = self._take()
            depth += _DEPTH.get(token.token_type, 0)
        return self.sql[start : self._tokens[self._at - 1].start].strip()

    def cut(self, word: str, *, before: str) -> str | None:
        """Remove ``[WITH] word (..)`` where it comes before the word ``before``, and return the text in the parentheses."""
        depth = 0
        for at in range(self._at, len(self._tokens)):
            token = self._tokens[at]
            depth += _DEPTH.get(token.token_type, 0)
            if depth or not _is_plain(token) or token.text.upper() not in (word, before):
                continue
            following = self._tokens[at + 1 : at + 2]
            if token.text.upper() == before or not following or following[0].token_type is not TokenType.L_PAREN:
                return None
            inner = TokenStream(self.sql)
            inner._tokens, inner._at = self._tokens, at + 1
            text = inner.parenthesised()
            first = at - 1 if at > self._at and self._tokens[at - 1].text.upper() == "WITH" else at
            del self._tokens[first : inner._at]
            return text
        return None

    def word(self) -> str:
        """One literal or word, as written."""
        return self._take().text

    def expression(self) -> str:
        """The text up to the next comma or closing parenthesis."""
        start, depth = self.position, 0
        while not self.done:
            kind = self._tokens[self._at].token_type
            if depth == 0 and kind in (TokenType.COMMA, TokenType.R_PAREN):
                break
            depth += _DEPTH.get(kind, 0)
            self._at += 1
        return self.sql[start : self.position].strip()

    def expression_before_options(self) -> str:
        """The text up to the next ``NAME =``, or to the end."""
        start = self.position
        while not self.done and self.words(2)[1:] != ("=",):
            self._at += 1
        return self.sql[start : self.position].strip()

    def expression_before(self, *names: str) -> str:
        """The text up to the next ``NAME =`` of one of ``names`` outside of parentheses, or to the end."""
        start, depth = self.position, 0
        while not self.done and not (depth == 0 and self.words(2)[1:] == ("=",) and self.words(1)[0] in names):
            depth += _DEPTH.get(self._tokens[self._at].token_type, 0)
            self._at += 1
        return self.sql[start : self.position].strip()

    def options(self, known: Mapping[str, OptionParser], *, until: tuple[str, ...] = ()) -> dict[str, Any]:
        """``NAME = value`` pairs in any order; unknown and repeated names are rejected."""
        found: dict[str, Any] = {}
        while not self.done and self.words(1)[0] not in until and self.words(1)[0] != ")":
            name = self.words(1)[0]
            if len(self.words(2)) < 2 or self.words(2)[1] != "=":
                raise self.unexpected()
            if name not in known:
                raise compilation(1420, "22023", f"invalid parameter '{name}'")
            if name in found:
                raise compilation(1427, "22023", f"duplicate property '{name}'")
            self._at += 2
            found[name] = known[name](self, name)
            self.accept(",")
        return found


def _is_plain(token: Token) -> bool:
    return token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)


def _name(parts: list[str]) -> Name:
    padded: list[str | None] = [None] * (3 - len(parts)) + list(parts)
    return Name(parts[-1], padded[1], padded[0])


def wrong_value(option: str, value: object) -> ProgrammingError:
    return compilation(1008, "22023", f"invalid value [{value}] for parameter '{option}'")


def require_options(options: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in options]
    if missing:
        raise compilation(2029, "42601", f"Missing option(s): [{', '.join(missing)}]")


def text_option(stream: TokenStream, name: str) -> str:
    if stream.done:
        raise stream.unexpected()
    try:
        return stream.string()
    except ProgrammingError:
        raise wrong_value(name, stream.words(1)[0]) from None


def boolean_option(stream: TokenStream, name: str) -> bool:
    try:
        return stream.boolean()
    except ProgrammingError:
        raise wrong_value(name, (stream.words(1) or ("",))[0]) from None


def texts_option(stream: TokenStream, _name: str) -> tuple[str, ...]:
    return stream.strings()


def unsupported_option(_stream: TokenStream, name: str) -> Any:
    """The parser of an option that this server does not support."""
    raise unsupported(f"the option {name} of this statement")


def word_option(stream: TokenStream, name: str) -> str:
    """A word, bare or quoted, in upper case."""
    if (text := stream.literal()) is not None:
        return text.upper()
    try:
        return stream.identifier()
    except ProgrammingError:
        raise wrong_value(name, (stream.words(1) or ("",))[0]) from None


def name_option(stream: TokenStream, _name: str) -> str:
    return stream.identifier()


def integer_option(low: int, high: int) -> OptionParser:
    def parse(stream: TokenStream, name: str) -> int:
        negative = stream.accept("-")
        value = -stream.integer() if negative else stream.integer()
        if not low <= value <= high:
            raise wrong_value(name, value)
        return value

    return parse


def choice_option(*choices: str) -> OptionParser:
    """One of the words, bare or quoted, in any case."""

    def parse(stream: TokenStream, name: str) -> str:
        try:
            value = stream.string()
        except ProgrammingError:
            value = stream.identifier()
        if value.upper() not in choices:
            raise wrong_value(name, value)
        return value.upper()

    return parse
