"""Counts the stored calls that a change of prices is about, so that whoever changes one knows what stays as it was."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import to_us

# A count is a remark beside a change that was made: it must not hold up the answer.
_LIMITS = " SETTINGS max_execution_time = 10"
_CALLS = "SELECT uniqExact(trace_id, span_id) AS calls FROM spans WHERE "
# As the book has it: providers append the day of a snapshot to the name.
_MODEL = r"replaceRegexpOne(lowerUTF8(model), '-(\\d{4}-\\d{2}-\\d{2}|\\d{8}|latest)$', '')"
_SPECIAL = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%"})


class PricedCalls:
    """Calls in the columns, by model and by price."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    async def of_model(
        self, project: str | None, provider: str, names: Sequence[str], since: date, until: date | None
    ) -> int:
        """Count calls of models, by name or pattern; None is every project."""
        values: dict[str, Any] = {"provider": provider, "since": _midnight(since)}
        where = "input_tokens IS NOT NULL AND lowerUTF8(provider) = {provider:String} AND start_us >= {since:Int64}"
        if until is not None:
            where += " AND start_us < {until:Int64}"
            values["until"] = _midnight(until)
        fitting: list[str] = []
        for place, name in enumerate(names):
            fitting.append(f"lowerUTF8(model) LIKE {{name{place}:String}} OR {_MODEL} LIKE {{name{place}:String}}")
            values[f"name{place}"] = name.translate(_SPECIAL)
        return await self._count(project, f"{where} AND ({' OR '.join(fitting)})", values)

    async def priced_by(self, project: str | None, mark: str) -> int:
        """Count calls whose price names an override."""
        where = "has(splitByChar('+', toString(price_book)), {mark:String})"
        return await self._count(project, where, {"mark": mark})

    async def _count(self, project: str | None, where: str, values: dict[str, Any]) -> int:
        if project is not None:
            where, values = f"project = {{project:String}} AND {where}", {**values, "project": project}
        rows = await self._columns.query(f"{_CALLS}billable AND {where}{_LIMITS}", values)
        return int(rows[0]["calls"])


def _midnight(day: date) -> int:
    return to_us(datetime.combine(day, time(), UTC))
