"""The grammar of filters and orders that all searches share: that of MLflow's clients, read by a tokenizer of our own.

What a kind of record can be searched by is data (`Spec`), which stands beside its search. A filter is comparisons joined by AND: `metrics.loss < 0.1 AND params.depth = '3' AND tags.team LIKE 'op%'`. A key with other
characters than letters, digits, `_` and `.` stands in backticks (one within twice) or double quotes; texts stand in single or double quotes,
and a quote within is no escape. There is no OR, and no parentheses but around the texts behind IN.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from gimbal.kernel.errors import BadInput

Kind = Literal["number", "whole", "text", "listed", "label", "either"]
"""`number` compares as such, `whole` has no fraction; `text` compares by LIKE, too; `listed` also by IN; `label` is a text
that may be missing (IS NULL); `either` is a number or a text, and may be missing."""

_NUMBERS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXTS = frozenset({"=", "!=", "LIKE", "ILIKE"})
_OPERATORS: Mapping[Kind, frozenset[str]] = {
    "number": _NUMBERS,
    "whole": _NUMBERS,
    "text": _TEXTS,
    "listed": _TEXTS | {"IN", "NOT IN"},
    "label": _TEXTS | {"IS NULL", "IS NOT NULL"},
    "either": _NUMBERS | _TEXTS | {"IS NULL", "IS NOT NULL"},
}
_UNFINISHED = frozenset({"NOT", "IS", "IS NOT"})
MAX_FILTER = 100_000
"""Characters of a filter."""
_MOST_CLAUSES = 100
_MOST_ORDERS = 20
_LARGEST = 2**53
_LONG = 400
"""Digits; a number with more of them is beyond all that a metric can be."""
_MOST_PATTERN = 5_000
"""Characters; the engines refuse longer ones in words of their own."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'[^']*'(?:'[^']*')*)
    | (?P<name>(?:[^\W\d]\w*|`[^`]*`|"[^"]*")(?:\.(?:\w+|`[^`]*(?:``[^`]*)*`|"[^"]*"|'[^']*'))*)
    | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    | (?P<sign><=|>=|!=|=|<|>)
    | (?P<bracket>[(),])
    )""",
    re.VERBOSE,
)
_KEY = re.compile(r"(\w+|`\w+`)\.(.+)", re.DOTALL)


ALIASES: Mapping[str, str] = {
    "metrics": "metric",
    "param": "parameter",
    "params": "parameter",
    "parameters": "parameter",
    "tags": "tag",
    "attr": "attribute",
    "attributes": "attribute",
}
"""Other names of entities that MLflow's clients use everywhere."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of record can be searched by."""

    entities: Mapping[str, Kind | Mapping[str, Kind]]
    """By entity what its keys are: all of one kind, or each by its name."""
    aliases: Mapping[str, str]
    """Other names of entities."""
    attributes: str = "attribute"
    """The entity that is meant where none is named."""
    keys: Mapping[str, str] = {}
    """Other names of attributes."""


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison."""

    entity: str = "attribute"
    key: str
    op: str
    """In upper case."""
    value: int | float | str | tuple[str, ...] | None = None


class Ordering(msgspec.Struct, frozen=True, kw_only=True):
    """One column of an order."""

    entity: str = "attribute"
    key: str
    ascending: bool = True


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    at: int


def parse(text: str, spec: Spec) -> list[Clause]:
    """Return the comparisons of a filter; raise BadInput that names what cannot be read."""
    tokens = deque(_tokens(text))
    clauses: list[Clause] = []
    while tokens:
        if clauses:
            joint = tokens.popleft()
            if joint.kind != "name" or joint.text.upper() != "AND":
                raise _wrong(f"{joint.text!r} at {joint.at + 1} stands where AND would; nothing else joins comparisons")
        if len(clauses) == _MOST_CLAUSES:
            raise _wrong(f"it has more than {_MOST_CLAUSES} comparisons")
        clauses.append(_clause(tokens, spec))
    return clauses


def parse_order(texts: Sequence[str], spec: Spec) -> list[Ordering]:
    """Return the columns of an order; raise BadInput that names the one that cannot be read or comes twice."""
    if len(texts) > _MOST_ORDERS:
        raise _wrong(f"it has more than {_MOST_ORDERS} columns", "order")
    found: list[Ordering] = []
    for text in texts:
        tokens = _tokens(text, "order")
        last = tokens[-1].text.upper() if len(tokens) > 1 and tokens[-1].kind == "name" else ""
        direction = last if last in {"ASC", "DESC"} else ""
        if len(tokens) != (2 if direction else 1) or tokens[0].kind != "name":
            raise _wrong(f"{text[:80]!r} is not a column with ASC or DESC", "order")
        entity, key, _ = _identified(tokens[0].text, spec, "order")
        if any((one.entity, one.key) == (entity, key) for one in found):
            raise _wrong(f"{entity}.{key} comes twice", "order")
        found.append(Ordering(entity=entity, key=key, ascending=direction != "DESC"))
    return found


def _tokens(text: str, where: str = "filter") -> list[_Token]:
    if len(text) > MAX_FILTER or "\0" in text:
        raise _wrong(f"it has a NUL, or more than {MAX_FILTER:,} characters", where)
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:].strip()
            raise _wrong(f"{rest.split()[0][:40]!r} cannot be read", where)
        kind = match.lastgroup or ""
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return found


def _clause(tokens: deque[_Token], spec: Spec) -> Clause:
    name = _next(tokens, "a key")
    if name.kind != "name":
        raise _wrong(f"{name.text[:40]!r} at {name.at + 1} is no key")
    entity, key, kind = _identified(name.text, spec, "filter")
    op = _operator(tokens)
    if op not in _OPERATORS[kind]:
        raise _wrong(f"{entity}.{key} cannot be compared by {op}: use {', '.join(sorted(_OPERATORS[kind]))}")
    if op in {"IS NULL", "IS NOT NULL"}:
        return Clause(entity=entity, key=key, op=op)
    if op in {"IN", "NOT IN"}:
        return Clause(entity=entity, key=key, op=op, value=_texts(tokens))
    token = _next(tokens, "a value")
    if kind in {"number", "whole"} or (kind == "either" and token.kind == "number"):
        return Clause(entity=entity, key=key, op=op, value=_number(token, f"{entity}.{key}", kind))
    value = _text(token)
    if value is None:
        raise _wrong(f"{entity}.{key} is compared with a text in quotes, not with {token.text[:40]!r}")
    if op in {"LIKE", "ILIKE"} and len(value) > _MOST_PATTERN:
        raise _wrong(f"a pattern has {_MOST_PATTERN} characters at most")
    return Clause(entity=entity, key=key, op=op, value=value)


def _operator(tokens: deque[_Token]) -> str:
    first = _next(tokens, "an operator")
    if first.kind == "sign":
        return first.text
    op = first.text.upper()
    while op in _UNFINISHED:
        op += f" {_next(tokens, 'the rest of an operator').text.upper()}"
    if first.kind != "name" or op not in {"LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"}:
        raise _wrong(f"{first.text[:40]!r} at {first.at + 1} is no operator")
    return op


def _texts(tokens: deque[_Token]) -> tuple[str, ...]:
    """Return the texts of a list in parentheses."""
    if _next(tokens, "(").text != "(":
        raise _wrong("behind IN stands a list of texts in parentheses")
    found: list[str] = []
    while (token := _next(tokens, ")")).text != ")":
        if (value := _text(token)) is None:
            raise _wrong(f"{token.text[:40]!r} at {token.at + 1} is no text in quotes")
        found.append(value)
        token = _next(tokens, ")")
        if token.text == ")":
            break
        if token.text != ",":
            raise _wrong(f"{token.text[:40]!r} at {token.at + 1} stands where a comma would")
    if not found:
        raise _wrong("the list behind IN is empty")
    return tuple(found)


def _next(tokens: deque[_Token], what: str) -> _Token:
    if not tokens:
        raise _wrong(f"it ends where {what} would stand")
    return tokens.popleft()


def _number(token: _Token, what: str, kind: Kind) -> int | float:
    if token.kind != "number":
        raise _wrong(f"{what} is compared with a number, not with {token.text[:40]!r}")
    if len(token.text) < _LONG and token.text.removeprefix("-").isdigit():
        value: int | float = int(token.text)
    else:
        value = float(token.text)
    if kind == "whole" and (isinstance(value, float) or abs(value) > _LARGEST):
        raise _wrong(f"{what} is compared with a whole number, not with {token.text[:40]!r}")
    return value


def _text(token: _Token) -> str | None:
    quoted = token.kind == "string" or (
        token.kind == "name"
        and len(token.text) > 1
        and token.text[0] == '"'
        and token.text.find('"', 1) == len(token.text) - 1
    )
    return token.text[1:-1] if quoted else None


def _identified(text: str, spec: Spec, where: str) -> tuple[str, str, Kind]:
    """Return entity, key and kind that a name stands for."""
    match = _KEY.fullmatch(text) if text[:1] != '"' else None
    entity, key = (match[1].strip("`"), match[2]) if match else (spec.attributes, text)
    entity = spec.aliases.get(entity, entity)
    kinds: Any = spec.entities.get(entity)
    if kinds is None:
        raise _wrong(f"{entity[:40]!r} cannot be searched: use {', '.join(spec.entities)}", where)
    for quote in ('"', "'", "`"):
        if len(key) > 1 and key[0] == quote == key[-1]:
            # A backtick within stands twice.
            key = key[1:-1].replace("``", "`") if quote == "`" else key[1:-1]
            break
    if isinstance(kinds, str):
        return entity, key, kinds  # pyright: ignore[reportReturnType]
    key = spec.keys.get(key, key)
    if key not in kinds:
        raise _wrong(f"there is no {entity} {key[:40]!r}: use {', '.join(kinds)}", where)
    return entity, key, kinds[key]


def _wrong(why: str, where: str = "filter") -> BadInput:
    return BadInput(
        f"The {where} cannot be understood: {why}.",
        where=where,
        todo="Write it like `metrics.auc > 0.8 AND params.depth = '3'`; odd keys stand in backticks."
        if where == "filter"
        else "Write it like `metrics.auc DESC`; odd keys stand in backticks.",
    )
