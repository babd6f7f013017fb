"""The rules of a prompt: which variables it has, what fits them, what its messages are with their values."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gimbal.generative.prompts.language import Included, Template, compile_template, render
from gimbal.generative.prompts.language.run import MAX_OUTPUT, too_long
from gimbal.generative.prompts.model.exchange import RenderedMessage
from gimbal.generative.prompts.model.manifest import (
    IncludedPrompt,
    PromptManifest,
    PromptMessage,
    PromptVariable,
    VariableType,
)
from gimbal.kernel.errors import BadInput

_WORDS: dict[VariableType, str] = {
    "text": "a text", "number": "a number", "integer": "an integer", "boolean": "true or false", "list": "a list",
    "object": "an object",
}  # fmt: skip


def templates_of(
    messages: Sequence[PromptMessage], includes: Sequence[IncludedPrompt] = (), *, own: bool = False
) -> Iterator[Template]:
    """Yield the template of each message; `own` leaves out what is included. Raise BadInput with its place for what is none."""
    given = () if own else _included(includes)
    for message in messages:
        yield compile_template(message.content, given, lenient=own)


def _included(includes: Sequence[IncludedPrompt]) -> tuple[Included, ...]:
    return tuple(
        Included(one.name, one.ref.removeprefix("prompt:"), one.text, _included(one.includes)) for one in includes
    )


def variables_of(
    messages: Sequence[PromptMessage], includes: Sequence[IncludedPrompt] = (), *, own: bool = False
) -> tuple[str, ...]:
    """Return the names of all variables, sorted, each once; `own` leaves out those of included prompts."""
    found = templates_of(messages, includes, own=own)
    return tuple(sorted({name for template in found for name in template.variables}))


def includes_of(messages: Sequence[PromptMessage]) -> tuple[str, ...]:
    """Return what the messages themselves include, as they name it, each once."""
    found = templates_of(messages, own=True)
    return tuple(dict.fromkeys(name for template in found for name in template.includes))


def declared_of(manifest: PromptManifest) -> dict[str, PromptVariable]:
    """Return what is declared by variable: by the prompt, or else by the first that it includes."""
    found: dict[str, PromptVariable] = {}
    _declare(found, manifest.declared, manifest.includes)
    return found


def _declare(
    found: dict[str, PromptVariable], declared: Sequence[PromptVariable], includes: Sequence[IncludedPrompt]
) -> None:
    for variable in declared:
        found.setdefault(variable.name, variable)
    for one in includes:
        _declare(found, one.declared, one.includes)


def fits(kind: VariableType, value: Any) -> bool:
    """Tell whether a value is of a variable's type; a text is no number, and true is no integer."""
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, str):
        return kind == "text"
    if isinstance(value, int):
        return kind in {"integer", "number"}
    if isinstance(value, float):
        return kind == "number" and math.isfinite(value)
    return (kind == "list" and isinstance(value, list | tuple)) or (kind == "object" and isinstance(value, dict))


def format_messages(manifest: PromptManifest, values: Mapping[str, Any]) -> list[RenderedMessage]:
    """Fill the messages; raise BadInput that names a variable that is missing, unknown or of another type.

    Strict on purpose: a forgotten variable must not reach a model as an empty hole.
    """
    if manifest.foreign is not None and manifest.foreign.unread:
        raise BadInput(
            f"The prompt's template is {manifest.foreign.format}'s and cannot be filled here: {manifest.foreign.unread}",
            where="messages",
            todo="Load it with that client, or register it with {{name}} placeholders.",
        )
    if manifest.declared or manifest.includes:
        values = _typed(manifest, values)
    known = set(manifest.variables)
    if values.keys() != known:
        missing, unknown = sorted(known - set(values)), sorted(set(values) - known)
        name = (missing or unknown)[0]
        raise BadInput(
            f"The variable {name!r} is missing." if missing else f"The prompt has no variable {name!r}.",
            where=f"variables.{name}",
            todo=f"It takes exactly: {', '.join(manifest.variables) or 'none'}.",
        )
    given = _included(manifest.includes)
    found: list[RenderedMessage] = []
    left = MAX_OUTPUT
    for message in manifest.messages:
        content = render(compile_template(message.content, given), values)
        left -= len(content)
        if left < 0:
            raise too_long()
        found.append(RenderedMessage(role=message.role, content=content))
    return found


def _typed(manifest: PromptManifest, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with defaults where none is given; raise BadInput for one that is of another type."""
    found = dict(values)
    for name, variable in declared_of(manifest).items():
        if name not in found and variable.default is not None:
            found[name] = variable.default
        elif name in found and not fits(variable.type, found[name]):
            raise BadInput(
                f"The variable {name!r} is not {_WORDS[variable.type]}.",
                where=f"variables.{name}",
                todo=f"It is declared as {variable.type}.",
            )
    return found


def check_declared(manifest: PromptManifest) -> None:
    """Raise BadInput for a default of another type, and for a variable that two included prompts declare differently."""
    for index, variable in enumerate(manifest.declared):
        if variable.default is not None and not fits(variable.type, variable.default):
            raise BadInput(
                f"The default of {variable.name!r} is not {_WORDS[variable.type]}.",
                where=f"declared[{index}].default",
                todo="Mend the default or the type.",
            )
    own = {variable.name for variable in manifest.declared}
    found: dict[str, PromptVariable] = {}
    for one in manifest.includes:
        inner: dict[str, PromptVariable] = {}
        _declare(inner, one.declared, one.includes)
        for name, variable in inner.items():
            if name not in own and found.setdefault(name, variable).type != variable.type:
                raise BadInput(
                    f"Included prompts declare {name!r} as {found[name].type} and as {variable.type}.",
                    where=f"variables.{name}",
                    todo="Declare it here: what a prompt itself says of a variable holds.",
                )
