"""Gemini's own form of schemas (a subset of OpenAPI's, types in capitals) → JSON schema.

The other way is never needed: JSON schema goes on as `parametersJsonSchema` and `responseJsonSchema`, exactly as it is.
"""

from typing import Any, cast

from gimbal.generative.gateway.conversation import Json

_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_INNER = frozenset({"items", "additionalProperties"})
_LISTS = frozenset({"anyOf", "prefixItems"})
_TABLES = frozenset({"properties", "defs", "$defs"})
_NAMES = {
    "any_of": "anyOf",
    "additional_properties": "additionalProperties",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
    "prefix_items": "prefixItems",
    "ref": "$ref",
    "defs": "$defs",
}


def json_schema(schema: Any) -> Any:
    """Return a schema of Gemini's form as JSON schema; what is neither is returned as it is."""
    if not isinstance(schema, dict):
        return schema
    given = {_NAMES.get(name, name): value for name, value in cast("Json", schema).items()}
    found: Json = {}
    for name, value in given.items():
        if name in _INNER:
            found[name] = json_schema(value)
        elif name in _LISTS and isinstance(value, list):
            found[name] = [json_schema(row) for row in cast("list[Any]", value)]
        elif name in _TABLES and isinstance(value, dict):
            found[name] = {key: json_schema(row) for key, row in cast("Json", value).items()}
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            # Their JSON writes 64-bit integers as strings.
            found[name] = int(value)
        elif name == "example":
            found["examples"] = [value]
        elif name == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                found["type"] = value.lower()
        elif name not in {"nullable", "propertyOrdering"}:
            found[name] = value
    order = given.get("propertyOrdering")
    properties: Any = found.get("properties")
    if isinstance(order, list) and isinstance(properties, dict):
        table = cast("Json", properties)
        named = [name for name in cast("list[Any]", order) if isinstance(name, str) and name in table]
        found["properties"] = {name: table[name] for name in [*named, *(n for n in table if n not in named)]}
    return _nullable(found) if given.get("nullable") is True else found


def _nullable(schema: Json) -> Json:
    if "type" in schema:
        rows: Any = schema.get("enum")
        more = {"enum": [*rows, None]} if isinstance(rows, list) and None not in rows else {}
        return schema | {"type": [schema["type"], "null"]} | more
    return {"anyOf": [schema, {"type": "null"}]}
