"""A request of responses → all of it in normal form; what has no place there is told by name.

What the provider would have to remember (`previous_response_id`, `conversation`, stored items) and its own tools have no
place. That nothing is stored is said in the answer: `store` is false there.
"""

from gimbal.generative.gateway.conversation import Conversation, Format, Json, Reasoning, Sampling, Text, Tool, Turn
from gimbal.generative.gateway.wire.fields import Table, value_of
from gimbal.generative.gateway.wire.openai_chat.decode import (
    EFFORTS,
    TIERS,
    VERBOSITY,
    choice_of,
    function_of,
    schema_of,
    user_of,
)
from gimbal.generative.gateway.wire.openai_responses.items import turns_of
from gimbal.generative.gateway.wire.protocol import Asked

_OF_THE_PATH = ("model", "stream")
_SUMMARIES = ("auto", "concise", "detailed")
_LOGPROBS = "message.output_text.logprobs"
_GIVEN_ANYWAY = frozenset({"reasoning.encrypted_content", "message.input_image.image_url", _LOGPROBS})
"""What may be included in an answer and is there anyway, or is told elsewhere."""


def conversation(asked: Asked) -> Conversation:
    """Decode all of it; raise BadInput naming the field that does not fit."""
    extras: Json = {}
    given = {name: value_of(raw, name) for name, raw in asked.fields.items() if name not in _OF_THE_PATH}
    top = Table(given, "", extras)
    turns = turns_of(top.take("input") or [], extras)
    if told := top.text("instructions"):
        turns = (Turn(role="system", parts=(Text(text=told),), where="instructions"), *turns)
    tools = _tools(top)
    choice, tools = choice_of(top, tools)
    form, verbosity = _text(top)
    include = top.words("include")
    for number, name in enumerate(include):
        if name not in _GIVEN_ANYWAY:
            extras[f"include[{number}]"] = name
    alternatives = top.count("top_logprobs", 0, 20)
    if options := top.table("stream_options"):
        options.tell("include_obfuscation", options.flag("include_obfuscation"), False)
        options.close()
    top.flag("store")
    found = Conversation(
        turns=turns,
        tools=tools,
        tool_choice=choice,
        format=form,
        reasoning=_reasoning(top),
        sampling=Sampling(
            max_tokens=top.count("max_output_tokens", 1),
            temperature=top.number("temperature", 0, 2),
            top_p=top.number("top_p", 0, 1),
            logprobs=(alternatives or 0) if alternatives or _LOGPROBS in include else None,
            service_tier=top.word("service_tier", *TIERS),
            verbosity=verbosity,
        ),
        user=user_of(top),
        extras=extras,
    )
    top.close()
    return found


def _reasoning(top: Table) -> Reasoning | None:
    row = top.table("reasoning")
    if row is None:
        return None
    effort = row.word("effort", *EFFORTS)
    # `generate_summary` is the deprecated name.
    old, summary = row.word("generate_summary", *_SUMMARIES), row.word("summary", *_SUMMARIES)
    row.tell("context", row.text("context") or None, "auto")
    row.tell("mode", row.text("mode") or None, "standard")
    row.close()
    show = True if summary or old else None
    return Reasoning(effort=effort, show=show) if effort or show else None


def _text(top: Table) -> tuple[Format | None, str]:
    row = top.table("text")
    if row is None:
        return None, ""
    verbosity = row.word("verbosity", *VERBOSITY)
    form = row.table("format")
    row.close()
    if form is None:
        return None, verbosity
    kind = form.required("type")
    if kind == "json_schema":
        found = schema_of(form)
    elif kind in {"text", "json_object"}:
        found = Format(kind="json") if kind == "json_object" else None
    else:
        form.whole()
        return None, verbosity
    form.close()
    return found, verbosity


def _tools(top: Table) -> tuple[Tool, ...]:
    found: list[Tool] = []
    for row in top.tables("tools"):
        if row.required("type") == "function":
            found.append(function_of(row))
        else:
            row.whole()
    return tuple(found)
