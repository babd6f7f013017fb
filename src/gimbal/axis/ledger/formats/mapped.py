"""Any table: whoever imports it says which column means what."""

from collections.abc import Mapping, Sequence

from gimbal.axis.ledger.formats import buckets
from gimbal.axis.ledger.formats.lines import Line, LineError, Read, count, currency, day_of, money, parts, told
from gimbal.kernel.errors import BadInput

MEANINGS = ("day", "model", "cost", "currency", "input_tokens", "output_tokens", "calls", "tier")


def mapping(columns: Sequence[str]) -> dict[str, str]:
    """Read `day=Date` and the like; raise BadInput."""
    found: dict[str, str] = {}
    for text in columns:
        meaning, equals, column = text.partition("=")
        if not equals or not column.strip() or meaning.strip() not in MEANINGS:
            raise BadInput(
                f"{text!r} does not say what a column means.",
                where="column",
                todo=f"Write MEANING=COLUMN, with one of {', '.join(MEANINGS)}.",
            )
        found[meaning.strip()] = column.strip()
    if not {"day", "model"} <= found.keys() or not {"cost", "input_tokens"} & found.keys():
        raise BadInput(
            "A table needs a day, a model, and a cost or input tokens.",
            where="column",
            todo="Give --column day=… --column model=… and --column cost=… or input_tokens=….",
        )
    if ("input_tokens" in found) != ("output_tokens" in found):
        raise BadInput(
            "Input and output tokens belong together.", where="column", todo="Name both columns, or neither."
        )
    return found


def read(text: str, columns: Mapping[str, str]) -> Read:
    """Read a table by what its columns mean."""
    found = Read(shape=",".join(f"{meaning}={column}" for meaning, column in sorted(columns.items())))
    rest: list[str] | None = None
    for number, row in buckets.table(text, list(columns.values()), "A table with these columns"):
        if rest is None:
            figures = {columns[name] for name in ("cost", "input_tokens", "output_tokens", "calls") if name in columns}
            rest = [name for name in row if name not in figures]
        try:
            found.lines.append(_line(number, row, columns, rest))
        except LineError as problem:
            found.rejected.append((number, f"{problem}."))
    return found


def _line(number: int, row: Mapping[str, str], columns: Mapping[str, str], rest: Sequence[str]) -> Line:
    def cell(meaning: str) -> str | None:
        return row.get(columns[meaning]) if meaning in columns else None

    def counted(meaning: str) -> int | None:
        return None if meaning not in columns else count(cell(meaning), meaning)

    return Line(
        number=number,
        day=day_of(cell("day")),
        model=told(cell("model"), "the model"),
        detail=parts(row, rest),
        tier=cell("tier") or "",
        cost=money(cell("cost")) if "cost" in columns else None,
        currency=currency(cell("currency")),
        input_tokens=counted("input_tokens"),
        output_tokens=counted("output_tokens"),
        calls=counted("calls"),
    )
