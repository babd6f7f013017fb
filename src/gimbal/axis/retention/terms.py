"""What is past its term, and what is left of a span without its content."""

from typing import Any

from gimbal.axis.retention.classes import DataClass, Table
from gimbal.axis.traces.derive import EXPIRED

_HERE = "project = {project:String}"
# Texts that say how a call was made, not what was said.
_KEPT = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.request.model", "gen_ai.response.model",
    "gen_ai.output.type", "openinference.span.kind", "llm.model_name", "llm.provider", "llm.system",
)  # fmt: skip
_NUMBER = "^(-?[0-9][0-9.eE+-]*|true|false)$"
_NAMES = ", ".join(f"'{name}'" for name in _KEPT)
_LEFT = (
    "arrayStringConcat(arrayMap(kv -> concat(toJSONString(kv.1), ':', kv.2, ','), arrayFilter("
    f"kv -> match(kv.2, '{_NUMBER}') OR kv.1 IN ({_NAMES}), JSONExtractKeysAndValuesRaw(attributes))))"
)
_HAS_PAYLOADS = "position(resource, '\"gimbal.ingest\"') > 0"
EMPTIED = (
    "UPDATE input = '', output = '', documents = '', events = '', status_message = '', content_expired = 1, "
    f"resource = if({_HAS_PAYLOADS}, '', resource), "
    f'attributes = concat(\'{{\', {_LEFT}, \'"{EXPIRED}":{{"content":"expired"}}}}\')'
)


def expired(one: DataClass, table: Table, project: str, upto_us: int) -> tuple[str, dict[str, Any]]:
    """Return the test whether a row of a class is from before a moment and still holds what goes, with its values."""
    condition = f"{_HERE} AND {table.clock} < {{upto:Int64}}"
    if empties(one, table):
        condition = f"{condition} AND content_expired = 0"
    if table.only:
        condition = f"{condition} AND ({table.only})"
    return condition, {"project": project, "upto": upto_us}


def empties(one: DataClass, table: Table) -> bool:
    """Tell whether the rows of a table stay, emptied."""
    return one.how == "empty" and table.name == "spans"
