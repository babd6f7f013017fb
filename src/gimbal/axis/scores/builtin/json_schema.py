"""JSON by a schema: 1 when the output is JSON that the expected JSON Schema accepts, else 0."""

import functools
import importlib
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from gimbal.axis.scores.builtin.structured import LONGEST, json_of
from gimbal.axis.scores.builtin.texts import BAD_EXPECTATION, missing, needs_extra, output_text, too_long
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.engines.text.matching import Pattern, pattern
from gimbal.kernel.errors import BadInput

TOO_DEEP = "too_deep"
"""Why there is no value where the library would not come to an end of what is nested."""
_ERRORS = 3
_SHOWN = 120


@scorer(
    ScorerCard(
        name="json_schema",
        title="JSON by a schema",
        type=ScoreType.BINARY,
        expects=("schema",),
        extra="metrics",
        description="1 when the output is JSON, alone or in a ```json fence, that the JSON Schema of the expectation "
        "accepts; the explanation has the first errors. What is no JSON is unparseable.",
        limits="Checks form, not truth. `format` is a remark to it. Patterns are RE2's but where `unevaluatedProperties` "
        "looks at them, and nothing is fetched for a $ref.",
        source="JSON Schema 2020-12, or the draft that `$schema` names, by the library jsonschema",
    )
)
def json_schema(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Check the JSON of the output against the schema."""
    schema, text = expected.get("schema"), output_text(output)
    if schema is None:
        return missing(Missing.NO_EXPECTATION)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    if (long := too_long([text], LONGEST)) is not None:
        return long
    try:
        check = _validator(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as problem:
        return missing(BAD_EXPECTATION, f"the schema is none: {problem}"[: 2 * _SHOWN])
    if check is None:
        return needs_extra("jsonschema", "metrics")
    try:
        value = json_of(text)
    except ValueError as problem:
        return missing(Missing.UNPARSEABLE, f"no JSON: {problem}"[:_SHOWN])
    try:
        wrong = [f"{error.json_path}: {error.message}"[:_SHOWN] for error in itertools.islice(check(value), _ERRORS)]
    except RecursionError:
        return missing(TOO_DEEP, "the schema or the output is nested too deep")
    except BadInput as problem:
        return missing(BAD_EXPECTATION, problem.message)
    except importlib.import_module("referencing").exceptions.Unresolvable as problem:
        return missing(BAD_EXPECTATION, f"the schema refers to what is not in it: {problem}"[:_SHOWN])
    return ScoreValue(value=float(not wrong), label="invalid" if wrong else "valid", explanation="; ".join(wrong))


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    """Return what yields the errors of a value; None without the library; raise ValueError for what is no schema."""
    try:
        library: Any = importlib.import_module("jsonschema")
        referencing: Any = importlib.import_module("referencing")
    except ImportError:
        return None
    rules = json.loads(schema)
    known = library.validators.validator_for(rules, default=library.Draft202012Validator)
    try:
        known.check_schema(rules)
    except library.SchemaError as problem:
        raise ValueError(f"{problem.json_path}: {problem.message}") from None
    ours = library.validators.extend(
        known,
        {
            "pattern": _pattern_rule,
            "patternProperties": _pattern_properties_rule,
            "additionalProperties": _additional_properties_rule,
        },
    )
    # Without a registry of its own the library would fetch what a reference names.
    return ours(rules, registry=referencing.Registry()).iter_errors


@functools.lru_cache(maxsize=256)
def _compiled(text: str) -> Pattern:
    return pattern(text)


def _found(text: str, name: str) -> bool:
    return _compiled(text).search(name.encode(errors="replace")) is not None


# What the library gives to a keyword's function: the validator, the keyword's value, the instance and the whole schema.
def _pattern_rule(validator: Any, text: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "string") and not _found(text, instance):
        yield _error(f"{instance!r} does not match {text!r}")


def _pattern_properties_rule(validator: Any, rules: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for text, rule in rules.items():
            for name, value in instance.items():
                if _found(text, name):
                    yield from validator.descend(value, rule, path=name, schema_path=text)


def _additional_properties_rule(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), list(schema.get("patternProperties", {}))
    for name in instance:
        if name in named or any(_found(text, name) for text in patterns):
            continue
        if rule is False:
            yield _error(f"{name!r} is not among the properties")
        else:
            yield from validator.descend(instance[name], rule, path=name)


def _error(message: str) -> Any:
    return importlib.import_module("jsonschema").ValidationError(message)
