"""Filters and orders over registered models, versions and logged models: comparisons joined by AND, as MLflow reads them."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, cast, get_args

import msgspec

from gimbal.axis.assets.registry.model import Clause, Op, Order
from gimbal.kernel.clock import from_us
from gimbal.kernel.errors import BadInput

Entity = Literal["attribute", "tag", "param", "metric"]
MAX_FILTER = 100_000
MAX_CLAUSES = 100

_ENTITIES: dict[str, Entity] = {
    "attribute": "attribute", "attributes": "attribute", "attr": "attribute", "tag": "tag", "tags": "tag",
    "param": "param", "params": "param", "parameter": "param", "parameters": "param", "metric": "metric",
    "metrics": "metric",
}  # fmt: skip
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<name>(?:[A-Za-z_]+\.)?(?:`[^`]+`|"[^"]+")|[A-Za-z_][\w.\-/]*)
    |(?P<text>'[^']*')
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<sign>!=|<=|>=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_ORDER = re.compile(r"\s*(?P<key>`[^`]+`|\"[^\"]+\"|[\w.]+)(?:\s+(?P<way>ASC|DESC))?\s*", re.IGNORECASE)
_NUMERIC = ("=", "!=", "<", "<=", ">", ">=")
_TEXTUAL = ("=", "!=", "LIKE", "ILIKE")
_TIMES = frozenset({"creation_timestamp", "last_updated_timestamp"})


class Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of thing can be searched by."""

    texts: frozenset[str]
    """Fields that are texts."""
    numbers: frozenset[str] = frozenset()
    """Fields that are whole numbers, or times in milliseconds."""
    lists: frozenset[str] = frozenset()
    """Fields that IN is for."""
    entities: frozenset[Entity] = frozenset({"attribute", "tag"})
    aliases: dict[str, str] = {}
    """Other names of fields."""


def parse_filter(text: str, grammar: Grammar) -> list[Clause]:
    """Read a filter; raise BadInput that names the part that is none."""
    if len(text) > MAX_FILTER or "\0" in text:
        raise BadInput("The filter is too long.", where="filter", todo=f"Use at most {MAX_FILTER} characters.")
    reader = _Reader(text)
    clauses: list[Clause] = []
    while not reader.done():
        if clauses:
            reader.word("AND")
        clauses.append(_clause(reader, grammar))
        if len(clauses) > MAX_CLAUSES:
            raise BadInput("The filter has too many conditions.", where="filter", todo=f"Use at most {MAX_CLAUSES}.")
    return clauses


def parse_order(given: Sequence[str], fields: frozenset[str]) -> list[Order]:
    """Read the fields to sort by; raise BadInput that names the one that is none."""
    found: list[Order] = []
    for text in given:
        match = _ORDER.fullmatch(text)
        key = match["key"].strip('`"').removeprefix("attribute.").removeprefix("attributes.") if match else ""
        if match is None or key not in fields:
            raise BadInput(
                f"Invalid order_by clause '{text[:200]}'.", where="order_by", todo=f"Valid keys are {sorted(fields)}."
            )
        found.append(Order(key=key, descending=(match["way"] or "ASC").upper() == "DESC"))
    return found


class _Reader:
    """The tokens of a filter, one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._at = 0

    def done(self) -> bool:
        """Tell whether nothing is left."""
        return self._at >= len(self._text)

    def peek(self) -> tuple[str, str]:
        """Return kind and text of the next token; both are empty at the end."""
        match = _TOKEN.match(self._text, self._at)
        if match is None or match.lastgroup is None:
            if self.done():
                return "", ""
            self.fail()
        return match.lastgroup, match[match.lastgroup]

    def next(self) -> tuple[str, str]:
        """Take the next token."""
        found = self.peek()
        match = _TOKEN.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return found

    def word(self, word: str) -> None:
        """Take one word; raise BadInput where another one is."""
        kind, text = self.peek()
        if kind != "name" or text.upper() != word:
            self.fail()
        self.next()

    def fail(self) -> NoReturn:
        """Raise BadInput that names what stands here."""
        rest = self._text[self._at :].strip()[:80]
        raise BadInput(
            f"Invalid clause(s) in filter string: {rest!r}.",
            where="filter",
            todo="Write conditions like name LIKE 'a%' AND tags.`b` = 'c'; only AND joins them.",
        )


def _clause(reader: _Reader, grammar: Grammar) -> Clause:
    kind, text = reader.peek()
    if kind != "name":
        reader.fail()
    entity, key = _identifier(text, reader)
    reader.next()
    key = grammar.aliases.get(key, key) if entity == "attribute" else key
    if entity not in grammar.entities or (entity == "attribute" and key not in grammar.texts | grammar.numbers):
        raise BadInput(
            f"Invalid attribute key '{text[:200]}' specified.",
            where="filter",
            todo=f"Valid keys are {', '.join(sorted(grammar.texts | grammar.numbers))}.",
        )
    op = _op(reader)
    numeric = entity == "metric" or (entity == "attribute" and key in grammar.numbers)
    allowed: tuple[str, ...] = _NUMERIC if numeric else _TEXTUAL
    if entity == "attribute" and key in grammar.lists:
        allowed += ("IN", "NOT IN")
    if entity in {"tag", "param"}:
        allowed += ("IS NULL", "IS NOT NULL")
    if op not in allowed:
        raise BadInput(
            f"Invalid comparator for '{text[:200]}': {op}.", where="filter", todo=f"Use {', '.join(allowed)}."
        )
    if op in {"IS NULL", "IS NOT NULL"}:
        return Clause(entity=entity, key=key, op=op)
    take: Callable[[_Reader], Any] = _several if op in {"IN", "NOT IN"} else _number if numeric else _text
    value: Any = take(reader)
    if entity == "attribute" and numeric:
        value = _whole(key, value)
    return Clause(entity=entity, key=key, op=op, value=value)


def _identifier(text: str, reader: _Reader) -> tuple[Entity, str]:
    head, dot, rest = text.partition(".")
    if text[0] in '`"' or not dot:
        return "attribute", text.strip('`"')
    if head.lower() not in _ENTITIES:
        reader.fail()
    return _ENTITIES[head.lower()], rest[1:-1] if rest[:1] in {"`", '"'} else rest


def _op(reader: _Reader) -> Op:
    kind, text = reader.next()
    found = text.upper()
    if kind == "name" and found in {"NOT", "IS"}:
        more = reader.next()[1].upper()
        found = f"{found} {more}"
        if found == "IS NOT":
            found = f"{found} {reader.next()[1].upper()}"
    if found not in get_args(Op):
        raise BadInput(f"Invalid comparator {text[:80]!r}.", where="filter", todo=f"Use {', '.join(get_args(Op))}.")
    return cast("Op", found)


def _text(reader: _Reader) -> str:
    kind, text = reader.peek()
    if kind != "text" and not (kind == "name" and text[0] in '"`'):
        raise BadInput(
            f"Expected a quoted string value. Got value {text[:80] or 'nothing'}.",
            where="filter",
            todo="Quote it: 'a'.",
        )
    reader.next()
    return text[1:-1]


def _number(reader: _Reader) -> float:
    kind, text = reader.next()
    if kind != "number":
        raise BadInput(f"Expected a number. Got value {text[:80] or 'nothing'}.", where="filter", todo="Write it bare.")
    return float(text)


def _whole(key: str, value: float) -> Any:
    if not value.is_integer() or not -(2**53) <= value <= 2**53:
        raise BadInput(
            f"Invalid value for numeric attribute '{key}': {value!r}.", where="filter", todo="Use a whole number."
        )
    if key not in _TIMES:
        return int(value)
    try:
        return from_us(int(value) * 1000)
    except (OverflowError, ValueError):
        raise BadInput(
            f"{int(value)} is no time in milliseconds.", where="filter", todo="Use one up to 9999."
        ) from None


def _several(reader: _Reader) -> list[str]:
    found: list[str] = []
    if reader.next()[1] != "(":
        reader.fail()
    while True:
        found.append(_text(reader))
        sign = reader.next()[1]
        if sign == ")":
            return found
        if sign != ",":
            reader.fail()
