"""A request of chat completions → all of it in normal form; what has no place there is told by name."""

from typing import cast

from gimbal.generative.gateway.conversation import Conversation, Format, Json, Reasoning, Sampling, Tool, ToolChoice
from gimbal.generative.gateway.wire.fields import Table, bad, value_of
from gimbal.generative.gateway.wire.openai_chat.messages import turns_of
from gimbal.generative.gateway.wire.protocol import Asked

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
VERBOSITY = ("low", "medium", "high")
_CHOICES = ("auto", "none", "required")
_OF_THE_PATH = ("model", "stream")


def conversation(asked: Asked) -> Conversation:
    """Decode all of it; raise BadInput naming the field that does not fit."""
    extras: Json = {}
    given = {name: value_of(raw, name) for name, raw in asked.fields.items() if name not in _OF_THE_PATH}
    top = Table(given, "", extras)
    turns = turns_of(top.tables("messages"))
    tools = tools_of(top)
    choice, tools = choice_of(top, tools)
    if (options := top.table("stream_options")) is not None:
        options.flag("include_usage")
        options.tell("include_obfuscation", options.flag("include_obfuscation"), False)
        options.close()
    found = Conversation(
        turns=turns,
        tools=tools,
        tool_choice=choice,
        format=_format(top),
        reasoning=_reasoning(top),
        sampling=_sampling(top),
        user=user_of(top),
        extras=extras,
    )
    top.close()
    return found


def user_of(top: Table) -> str:
    """Return whom the provider shall hold responsible; where two are named, the one that is not so is told."""
    user, responsible = top.text("user"), top.text("safety_identifier")
    if responsible and user not in {"", responsible}:
        top.tell("user", user)
    return responsible or user


def _sampling(top: Table) -> Sampling:
    most, newer = top.count("max_tokens", 1), top.count("max_completion_tokens", 1)
    wanted, alternatives = top.flag("logprobs"), top.count("top_logprobs", 0, 20)
    if alternatives is not None and not wanted:
        raise bad("top_logprobs are told with logprobs only.", "top_logprobs", "Set logprobs to true.")
    modalities = top.words("modalities")
    return Sampling(
        max_tokens=newer or most,
        temperature=top.number("temperature", 0, 2),
        top_p=top.number("top_p", 0, 1),
        top_k=top.count("top_k"),
        stop=_stop(top),
        seed=top.count("seed", -(2**63), 2**63 - 1),
        n=top.count("n", 1),
        presence_penalty=top.number("presence_penalty", -2, 2),
        frequency_penalty=top.number("frequency_penalty", -2, 2),
        logprobs=(alternatives or 0) if wanted else None,
        logit_bias=_bias(top),
        service_tier=top.word("service_tier", *TIERS),
        verbosity=top.word("verbosity", *VERBOSITY),
        modalities=() if modalities == ("text",) else modalities,
    )


def _stop(top: Table) -> tuple[str, ...]:
    given = top.take("stop")
    if isinstance(given, str):
        return (given,)
    return Table({"stop": given}, top.where, top.extras).words("stop")


def _bias(top: Table) -> dict[str, float] | None:
    given = top.object("logit_bias")
    if given is None:
        return None
    bias = Table(given, "logit_bias", top.extras)
    return {token: bias.number(token, -100, 100) or 0 for token in given}


def _reasoning(top: Table) -> Reasoning | None:
    effort = top.word("reasoning_effort", *EFFORTS)
    return Reasoning(effort=effort) if effort else None


def _format(top: Table) -> Format | None:
    form = top.table("response_format")
    if form is None:
        return None
    kind = form.required("type")
    if kind == "json_schema":
        schema = form.table("json_schema")
        if schema is None:
            raise bad("The schema is missing.", form.at("json_schema"))
        found = schema_of(schema)
        schema.close()
    elif kind in {"text", "json_object"}:
        found = Format(kind="json") if kind == "json_object" else None
    else:
        form.whole()
        return None
    form.close()
    return found


def schema_of(table: Table) -> Format:
    """Return the form that a JSON schema asks for."""
    return Format(
        kind="schema",
        name=table.required("name"),
        description=table.text("description"),
        schema=table.object("schema"),
        strict=table.flag("strict"),
    )


def tools_of(top: Table) -> tuple[Tool, ...]:
    """Return the functions among the tools, the deprecated ones included."""
    found: list[Tool] = []
    for row in top.tables("tools"):
        if row.required("type") != "function":
            row.whole()
            continue
        function = row.table("function")
        if function is None:
            raise bad("A tool has no function.", row.at("function"))
        found.append(function_of(function, row.object("cache_control")))
        row.close()
    found.extend(function_of(row) for row in top.tables("functions"))
    return tuple(found)


def function_of(row: Table, cache: Json | None = None) -> Tool:
    """Return one function; reads all of the table."""
    found = Tool(
        name=row.required("name"),
        description=row.text("description"),
        parameters=row.object("parameters"),
        strict=row.flag("strict"),
        cache=cache,
    )
    row.close()
    return found


def choice_of(top: Table, tools: tuple[Tool, ...]) -> tuple[ToolChoice | None, tuple[Tool, ...]]:
    """Return whether tools are called, and those that may be: an allowed subset is the tools themselves."""
    parallel = top.flag("parallel_tool_calls")
    mode, name = "", ""
    for field in ("tool_choice", "function_call"):
        given = top.take(field)
        if isinstance(given, dict):
            row = Table(cast("Json", given), field, top.extras)
            kind = row.required("type") if field == "tool_choice" else "function"
            # Chat completions put what is chosen into a field of its own, responses beside the type.
            inner = row.table(kind) or row
            if kind == "allowed_tools":
                mode, tools = _allowed(inner, tools)
            elif kind == "function":
                mode, name = "named", _known(inner, tools)
            else:
                row.whole()
                continue
            inner.close()
            row.close()
        elif given is not None:
            mode = Table({field: given}, "", top.extras).word(field, *_CHOICES)
    if not mode and parallel is None:
        return None, tools
    return ToolChoice(mode=mode or "auto", name=name, parallel=parallel), tools


def _known(row: Table, tools: tuple[Tool, ...]) -> str:
    name = row.required("name")
    if name not in {tool.name for tool in tools}:
        raise bad(f"There is no tool {name!r:.80}.", row.at("name"), "Choose among the tools of the request.")
    return name


def _allowed(row: Table, tools: tuple[Tool, ...]) -> tuple[str, tuple[Tool, ...]]:
    """Return the mode and the tools of a choice that allows some of them only."""
    mode = row.word("mode", "auto", "required") or "auto"
    names: set[str] = set()
    for tool in row.tables("tools"):
        if tool.required("type") != "function":
            tool.whole()
            continue
        function = tool.table("function") or tool
        names.add(_known(function, tools))
        function.close()
        tool.close()
    return mode, tuple(tool for tool in tools if tool.name in names)
