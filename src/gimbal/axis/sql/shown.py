"""Columns that several views show, and the expressions behind them."""

import msgspec

from gimbal.axis.traces.counting import WASTED

# Calls that stay of an erased user; `retention`, which writes them, is beside this room.
_ERASED = "gimbal.erased"


class Column(msgspec.Struct, frozen=True):
    """One column of a view."""

    name: str
    type: str
    """As ClickHouse names it."""
    meaning: str
    sql: str = ""
    """Expression over the table; empty where it is the column of that name."""

    @property
    def shown(self) -> str:
        """What stands behind SELECT."""
        return f"{self.sql} AS {self.name}" if self.sql else self.name


def moment(us: str) -> str:
    """Return the time of a column of microseconds."""
    return f"fromUnixTimestamp64Micro({us}, 'UTC')"


def _less(whole: str, *others: str) -> str:
    """Return what is left of a count without the classes that are stored by themselves."""
    return " - ".join([f"ifNull(s.{whole}, 0)", *(f"s.usage_classes['{one}']" for one in others)])


_WRITTEN = tuple(f"cache_write_{time}" for time in ("5m", "30m", "1h", "12h"))
# The classes that the totals tell; those beside them are stored by themselves.
_TOLD = {
    "input": f"{_less('input_tokens', 'audio_input', 'image_input')} - ifNull(s.cache_read_tokens, 0) - ifNull(s.cache_write_tokens, 0)",
    "cache_read": _less("cache_read_tokens", "audio_cache_read"),
    "cache_write": _less("cache_write_tokens", *_WRITTEN),
    "output": f"{_less('output_tokens', 'audio_output', 'image_output')} - ifNull(s.reasoning_tokens, 0)",
    "reasoning": "ifNull(s.reasoning_tokens, 0)",
}  # fmt: skip
_CLASSES = ", ".join(f"'{name}', {count}" for name, count in _TOLD.items())
_USAGE = (
    "CAST(if(isNull(s.input_tokens), map(), mapFilter((k, v) -> v != 0 AND k != 'contradictory', "
    f"mapUpdate(CAST(map({_CLASSES}), 'Map(String, Int64)'), CAST(s.usage_classes, 'Map(String, Int64)')))), 'Map(String, Int64)')"
)
_MONEY = "Map(String, Decimal(28, 12))"
# The input is not stored: it is what the others leave of the cost.
_PARTS = (
    f"CAST(if(isNull(s.cost) OR empty(s.parts), map(), mapUpdate(CAST(s.parts, '{_MONEY}'), CAST(map('input', "
    f"toDecimal128(assumeNotNull(s.cost), 12) - arraySum(mapValues(s.parts))), '{_MONEY}'))), '{_MONEY}')"
)

TIME = "DateTime64(6, 'UTC')"
TOKENS = (
    Column("input_tokens", "Nullable(Int64)", "Tokens in, cached ones included; null where nobody reported them."),
    Column("output_tokens", "Nullable(Int64)", "Tokens out, reasoning included."),
    Column("cache_read_tokens", "Nullable(Int64)", "Of the tokens in, those read from the provider's cache."),
    Column("cache_write_tokens", "Nullable(Int64)", "Of the tokens in, those written to it."),
    Column("reasoning_tokens", "Nullable(Int64)", "Of the tokens out, those of reasoning."),
    Column("usage", "Map(String, Int64)",
           "The same in classes that exclude each other: input, cache_read, cache_write, cache_write_1h, output, reasoning, "
           "audio_input, requests.web_search and so on; what is 0 is left out.", _USAGE),
    Column("contradictory", "Bool", "Whether the provider's own numbers contradict each other.",
           "toBool(s.usage_classes['contradictory'])"),
    Column("tier", "String", "How the call was served: standard, batch, flex, priority, …; empty where nobody reported tokens."),
    Column("estimated", "Bool", "Whether the tokens are an estimate.", "toBool(s.estimated)"),
    Column("cost", "Nullable(Decimal(28, 12))", "US dollars; null where it is unknown, never 0 instead."),
    Column("cost_parts", _MONEY, "The cost by class, its sum to the last digit; empty where it is unknown.", _PARTS),
    Column("unpriced", "String", "Why the cost is unknown; empty where it is known or there is none."),
    Column("cached", "Bool", "Whether the application's own cache answered.", "toBool(s.cached)"),
    Column("saved", "Nullable(Decimal(28, 12))", "US dollars that the application's own cache spared; null where none did."),
    Column("wasted", "Nullable(Decimal(28, 12))", "Of the cost, what was paid for an error or a call that was stopped; else null.",
           f"if({WASTED}, s.cost, NULL)"),
)  # fmt: skip
WHO = (
    Column("session_id", "String", "Session that it belongs to, as the span says."),
    Column("user_id", "String", "End user, as the span says."),
    Column("feature", "String", "Feature of the application, as the span says."),
    Column("endpoint", "String", "Endpoint of the gateway that was called, or as the span names it."),
    Column("key_id", "String", "Id of the API key that the call was made with."),
    Column("tags", "Array(String)", "Words, or key:value."),
    Column("refs", "Array(String)", "Versions that it used: prompt:help/answer@v2."),
)
WEIGHT = Column("weight", "Float64", "How many it stands for: more than 1 where sampling left others out.")
EXPIRED = Column(
    "content_expired", "Bool", "Whether what was said is past its term and was taken out; the rest stays.",
    "toBool(s.content_expired)",
)  # fmt: skip
ERASED = Column(
    "erased", "Bool", "Whether it is what stays of a call of an erased user: model, tokens, cost, and the hour it was in.",
    f"toBool(s.dialect = '{_ERASED}')",
)  # fmt: skip
