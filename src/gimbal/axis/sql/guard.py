"""The first wall: a statement is read into a tree, everything in it must be known, and only the tree is written again.

Nothing is refused because it looks bad; what is not known to be harmless is. There is one SELECT, it names views and the
names that it gives itself, and it calls functions that compute from their arguments alone.
"""

import itertools
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, cast

import msgspec
import sqlglot
from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from gimbal.axis.sql import bounds, functions, views
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.operations import nearest

LONGEST = 50_000
_DEEPEST = 200
RESERVED = "project"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = "gimbal_view_"
_MARKED = re.compile(rf"\b{_MARK}(\d+)\b")
_WORD = re.compile(r"[A-Za-z_]\w*")
# Words that are no names: numbers, and GROUP BY ALL.
_WORDS = {"nan", "inf", "NaN", "Inf", "ALL", "all"}
_HOW = "`gimbal sql views` and the how-to page on SQL tell what there is."
# What a statement may be made of besides expressions and functions. A kind of node that a newer parser brings is refused.
_CLAUSES = (
    exp.Select, exp.SetOperation, exp.Subquery, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order,
    exp.Ordered, exp.Limit, exp.LimitOptions, exp.Offset, exp.With, exp.CTE, exp.Table, exp.TableAlias, exp.Alias, exp.Aliases,
    exp.Column, exp.Identifier, exp.Star, exp.Literal, exp.Placeholder, exp.Paren, exp.Tuple, exp.Boolean, exp.Null, exp.Window,
    exp.WindowSpec, exp.Lambda, exp.Bracket, exp.Dot, exp.Interval, exp.IntervalSpan, exp.Var, exp.DataType, exp.DataTypeParam,
    exp.Distinct, exp.Condition, exp.Func, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithFill, exp.GroupingSets,
    exp.Cube, exp.Rollup, exp.JSONPath, exp.JSONPathPart, exp.Apply,
)  # fmt: skip
_NEVER = (
    exp.Command,
    exp.DDL,
    exp.Insert,
    exp.Into,
    exp.SessionParameter,
    exp.Parameter,
    exp.Unnest,
    exp.Lateral,
    exp.Pivot,
)
# Parts of a SELECT that say how to run it or where to put the answer.
_REFUSED_PARTS = {"settings": "SETTINGS", "format": "FORMAT", "into": "INTO", "sample": "SAMPLE", "prewhere": "PREWHERE",
                  "locks": "FOR"}  # fmt: skip
# Words behind which a bracket is no call.
_STRUCTURE = frozenset(
    {
        "select", "from", "where", "and", "or", "not", "in", "global", "join", "on", "using", "as", "by", "over", "with",
        "having", "then", "else", "when", "case", "end", "limit", "offset", "union", "all", "distinct", "except", "intersect",
        "exists", "between", "like", "ilike", "is", "interval", "array", "qualify", "window", "partition", "order", "group",
        "filter", "rollup", "cube", "sets", "grouping", "fill", "step", "to",
    }
)  # fmt: skip


class _Verbatim(ClickHouse):
    """The engine's dialect, in which functions stay what the caller wrote instead of another system's like."""

    class Parser(ClickHouse.Parser):
        """Knows no function by name."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """One view in a statement, with what time its reader asks for."""

    view: views.View
    bounds: str
    """Conditions on the table's own time; empty for all of it."""


class Checked:
    """A statement that was found harmless."""

    def __init__(self, tree: exp.Expr, tables: Sequence[exp.Table], parameters: dict[str, str]) -> None:
        self.parameters = parameters
        """Types of its parameters by name."""
        named = [views.VIEWS[table.name] for table in tables]
        self.views = [
            Placed(view=view, bounds=bounds.of(table, view)) for table, view in zip(tables, named, strict=True)
        ]
        """The views that it names, once for each time that it does."""
        for place, (table, view) in enumerate(zip(tables, named, strict=True)):
            table.set("this", exp.to_identifier(f"{_MARK}{place}"))
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(view.name)))
        self._text = write(tree)

    def sql(self, states: Mapping[str, views.State]) -> str:
        """Return the statement that the engine gets: each view in the place of its name; `states` are by bounds."""

        def inner(found: re.Match[str]) -> str:
            placed = self.views[int(found[1])]
            return f"({views.select(placed.view, placed.bounds, states.get(placed.bounds, views.State()))})"

        return _MARKED.sub(inner, self._text)


def write(tree: exp.Expr) -> str:
    """Return a tree as text in the engine's dialect, without comments."""
    return tree.sql(dialect="clickhouse", comments=False)


def check(text: str) -> Checked:
    """Read a statement; raise BadInput that says what in it is refused and where, or NotFound for an unknown view."""
    tree = _parse(text)
    _refuse_parts(tree, text)
    known = _names(tree)
    tables = [_table(table, tree, text) for table in list(tree.find_all(exp.Table))]
    _refuse_identifiers(tree, known, text)
    _refuse_calls(write(tree), text)
    return Checked(tree, [table for table in tables if table is not None], _parameters(tree, text))


def _parse(text: str) -> exp.Expr:
    if not text.strip() or len(text) > LONGEST or "\0" in text:
        raise BadInput(f"A statement has 1 to {LONGEST:,} characters.", where="query", todo="Give one SELECT.")
    if "`" in text and re.search(r"`[^`]*\\", text):
        _refuse("a name with a backslash", text, 0)
    _nested(text)
    quiet = logging.getLogger("sqlglot")
    before, quiet.disabled = quiet.disabled, True
    try:
        found = [one for one in sqlglot.parse(text, dialect=_Verbatim) if one is not None]
        first = found[0] if found else None
        # What comes out is what is checked: a tree that does not survive being written is not understood.
        if isinstance(first, exp.Query) and write(sqlglot.parse_one(write(first), dialect=_Verbatim)) != write(first):
            _refuse("something that is not understood for certain", text, 0)
    except SqlglotError as problem:
        errors = cast("list[dict[str, Any]]", getattr(problem, "errors", [])) or [{}]
        line, column = errors[0].get("line"), errors[0].get("col")
        told = str(errors[0].get("description") or "it ends too early or has characters that cannot be read").strip(
            " ."
        )
        where = f"line {line}, column {column}" if line else "query"
        raise BadInput(f"The statement cannot be read: {told}.", where=where, todo="Mend it there.") from None
    except RecursionError:
        raise BadInput("The statement is nested too deeply.", where="query", todo="Make it flatter.") from None
    finally:
        quiet.disabled = before
    if len(found) != 1:
        raise BadInput("That is not one statement.", where="query", todo="Send one SELECT at a time.")
    if not isinstance(first, exp.Select | exp.SetOperation | exp.Subquery):
        raise BadInput("Only SELECT is answered here.", where="line 1, column 1", todo="Ask with one SELECT.")
    return first


def _nested(text: str) -> None:
    """Raise BadInput for brackets that no person nests, before a parser goes down into them."""
    depth = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if depth > _DEEPEST:
            raise BadInput("The statement is nested too deeply.", where="query", todo="Make it flatter.")


def _refuse(what: str, text: str, at: int, todo: str = _HOW) -> NoReturn:
    raise BadInput(f"A statement may not have {what}.", where=_place(text, at), todo=todo)


def _place(text: str, at: int) -> str:
    before = text[: max(at, 0)]
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _at(node: exp.Expr, text: str) -> int:
    """Return where a node stands in the text, as well as it is known."""
    for one in node.walk():
        if "start" in one.meta:
            return int(one.meta["start"])
    word = _WORD.search(node.name or "")
    return max(text.lower().find(word[0].lower()), 0) if word else 0


def _refuse_parts(tree: exp.Expr, text: str) -> None:
    for node in tree.walk():
        if not isinstance(node, _CLAUSES) or isinstance(node, _NEVER):
            _refuse(f"{type(node).__name__.upper()} in it", text, _at(node, text))
        for part, word in _REFUSED_PARTS.items():
            if isinstance(node, exp.Query) and node.args.get(part):
                _refuse(f"{word} in it", text, max(text.lower().find(word.lower()), 0))
        if isinstance(node, exp.With) and node.recursive:
            _refuse("RECURSIVE in it", text, max(text.lower().find("recursive"), 0))
        if isinstance(node, exp.Group) and node.args.get("totals"):
            _refuse("WITH TOTALS in it", text, max(text.lower().find("totals"), 0), "Use ROLLUP instead.")
        if isinstance(node, exp.In):
            _check_in(node, tree, text)
        if isinstance(node, exp.Identifier) and (not node.name or "\\" in node.name or "`" in node.name):
            _refuse(f"the name {node.name!r}", text, _at(node, text))


def _check_in(node: exp.In, tree: exp.Expr, text: str) -> None:
    """Refuse a bare name behind IN, where the engine would look for a table; names of WITH are fine."""
    given = {cte.alias for cte in tree.find_all(exp.CTE)}
    right = [node.args.get("field"), *node.expressions] if len(node.expressions) < 2 else [node.args.get("field")]
    for one in right:
        inner = one.unnest() if isinstance(one, exp.Paren) else one
        if isinstance(inner, exp.Column | exp.Identifier | exp.Dot | exp.Table) and (
            inner.name not in given or (isinstance(inner, exp.Column) and inner.table)
        ):
            _refuse(
                "a name behind IN", text, _at(inner, text), "Write IN (SELECT column FROM view), or has() for arrays."
            )


def _names(tree: exp.Expr) -> set[str]:
    """Return every name that means something: of views, columns, and what the statement names itself."""
    return _WORDS | set(views.VIEWS) | views.COLUMN_NAMES | {name for name, _ in _given(tree)}


def _given(tree: exp.Expr) -> Iterator[tuple[str, exp.Expr]]:
    """Yield the names that a statement gives."""
    for node in tree.walk():
        if isinstance(node, exp.Alias | exp.TableAlias | exp.CTE):
            if isinstance(node.args.get("alias"), exp.Identifier):
                yield node.alias, node
            if isinstance(node, exp.TableAlias):
                if node.this is not None:
                    yield node.name, node
                for column in node.args.get("columns") or ():
                    yield column.name, node
        elif isinstance(node, exp.Aliases):
            for alias in node.aliases:
                yield str(alias), node
        elif isinstance(node, exp.Lambda):
            for parameter in node.expressions:
                yield parameter.name, node
        elif isinstance(node, exp.Window) and isinstance(node.args.get("alias"), exp.Identifier):
            yield node.args["alias"].name, node
        elif isinstance(node, exp.Window) and isinstance(node.this, exp.Identifier):
            yield node.this.name, node


def _table(table: exp.Table, tree: exp.Expr, text: str) -> exp.Table | None:
    """Return a table of the statement that is a view, None for a name of WITH."""
    if not isinstance(table.this, exp.Identifier):
        name = getattr(table.this, "name", "") or type(table.this).__name__
        _refuse(f"the table function {name}", text, _at(table, text))
    if table.args.get("db") or table.args.get("catalog"):
        _refuse("the name of a database", text, _at(table, text))
    extra = {key for key, value in table.args.items() if value} - {"this", "alias", "joins"}
    if extra:
        _refuse(f"{min(extra).upper()} behind a view", text, _at(table, text))
    for cte in tree.find_all(exp.CTE):
        if cte.alias == table.name:
            return None
    if table.name not in views.VIEWS:
        raise NotFound(
            f"There is no view {table.name!r}.",
            where=_place(text, _at(table, text)),
            todo=nearest(table.name, views.VIEWS) or f"There are {', '.join(views.VIEWS)}.",
        )
    return table


def _refuse_identifiers(tree: exp.Expr, known: set[str], text: str) -> None:
    """Refuse names that nobody gave: the engine might find a function, a table or a setting behind them."""
    for name, node in _given(tree):
        if not _PLAIN.fullmatch(name):
            _refuse(f"the name {name!r}", text, _at(node, text), "Name things with letters, digits and underscores.")
        # The engine takes a bare word for a function where no column bears it, and for a table behind IN.
        if isinstance(node, exp.CTE | exp.TableAlias) and name in views.VIEWS and not _of_itself(node, name):
            _refuse(f"another {name}, which is a view,", text, _at(node, text), "Choose another name.")
        if name.lower().startswith((_MARK, "_")) or functions.elsewhere(name):
            _refuse(f"the name {name!r}", text, _at(node, text), "Choose another name.")
    for node in tree.find_all(exp.Identifier):
        if node.name not in known and not functions.allowed(node.name):
            raise BadInput(
                f"{node.name!r} is no column of a view, and no name that the statement gives.",
                where=_place(text, _at(node, text)),
                todo=nearest(node.name, known) or "Give what you compute a name with AS; " + _HOW,
            )


def _of_itself(node: exp.Expr, name: str) -> bool:
    """Tell whether a view is named by its own name: FROM spans AS spans."""
    return isinstance(node, exp.TableAlias) and isinstance(node.parent, exp.Table) and node.parent.name == name


def _refuse_calls(written: str, text: str) -> None:
    """Refuse every call of a function that is not known to be harmless, whatever the parser took it for."""
    tokens = ClickHouse().tokenize(written)
    for token, after in itertools.pairwise(tokens):
        if after.token_type is not TokenType.L_PAREN or not _WORD.fullmatch(token.text):
            if after.token_type is TokenType.L_PAREN and token.token_type is TokenType.IDENTIFIER:
                _refuse(f"the function {token.text!r}", text, 0)
            continue
        word = token.text.lower()
        quoted = token.token_type is TokenType.IDENTIFIER
        if token.token_type is TokenType.STRING or (word in _STRUCTURE and not quoted) or functions.allowed(word):
            continue
        _refuse(f"the function {token.text}", text, max(text.lower().find(word), 0))


def _parameters(tree: exp.Expr, text: str) -> dict[str, str]:
    """Return the types of the parameters by name."""
    found: dict[str, str] = {}
    for node in tree.find_all(exp.Placeholder):
        kind = node.args.get("kind")
        name, type_ = node.name, "" if kind is None else str(kind if isinstance(kind, str) else kind.sql("clickhouse"))
        words = list(_WORD.findall(re.sub(r"'[^']*'", "", type_)))
        if not _PLAIN.fullmatch(name) or not words or any(w.lower() not in functions.TYPES for w in words):
            _refuse(f"the parameter {{{name}:{type_}}}", text, _at(node, text), "Write it like {since:DateTime64(6)}.")
        if name == RESERVED or found.setdefault(name, type_) != type_:
            _refuse(f"the parameter {name!r} so", text, _at(node, text), "Choose another name.")
    return found
