"""Messages in one form, that of OpenAI's chat, whoever sent them.

A message is `{role, content}` and, where it has them, `name`, `tool_calls` and `tool_call_id`. `content` is text, or a
list of parts when there is more than text: `{type: text|reasoning|refusal, text}`, `{type: image|audio|video|file, url,
media_type, name}`, or a part as it came where its type is unknown. A call is `{id, type: function, function: {name,
arguments}}`, its arguments JSON text. Each result of a tool is a message of the role `tool`.

Read are messages of OpenAI (chat and Responses), Anthropic, Gemini, Bedrock, the GenAI conventions (`parts`), the AI SDK
and LangChain, and those providers' whole requests and answers. What is no message stays as it came.
"""

from typing import Any

import msgspec

from gimbal.axis.traces.media import kind_of, type_in

Body = dict[str, Any]
_ROLES = {"model": "assistant", "ai": "assistant", "human": "user", "function": "tool"}
_PLAIN = frozenset({"user", "assistant", "system", "developer", "tool"})
_TEXTS = {
    "text": "text", "input_text": "text", "output_text": "text", "summary_text": "reasoning", "reasoning": "reasoning",
    "thinking": "reasoning", "refusal": "refusal",
}  # fmt: skip
_CALLS = frozenset({"tool_call", "tool_use", "tool-call", "function_call", "server_tool_call", "server_tool_use"})
_RESULTS = frozenset(
    {"tool_call_response", "tool_result", "tool-result", "function_call_output", "server_tool_call_response"}
)
_MEDIA = frozenset(
    {"image", "image_url", "input_image", "audio", "input_audio", "video", "video_url", "document", "file",
     "input_file", "blob", "uri", "media"}
)  # fmt: skip
_KINDS = frozenset({"image", "audio", "video"})
# Bedrock and Gemini name a part by its only key.
_NAMED = {
    "toolUse": "tool_call", "functionCall": "tool_call", "function_call": "tool_call", "toolResult": "tool_result",
    "functionResponse": "tool_result", "function_response": "tool_result", "inlineData": "blob", "inline_data": "blob",
    "fileData": "uri", "file_data": "uri", "image": "image", "audio": "audio", "video": "video", "document": "document",
}  # fmt: skip
_json = msgspec.json.Encoder(enc_hook=str)


def messages_in(value: Any) -> Any:
    """Return the messages in a list of them, in one of them, or in a provider's request or answer; else the value."""
    if isinstance(value, list):
        return _listed(value)
    return _of_body(value) or value if isinstance(value, dict) else value


def said(value: Any, role: str) -> Any:
    """Return the messages in what went into or came out of a model: text alone is one message of `role`."""
    return [{"role": role, "content": value}] if isinstance(value, str) and value else messages_in(value)


def _listed(value: list[Any]) -> list[Any]:
    rows: list[Any] = value[0] if len(value) == 1 and isinstance(value[0], list) else value
    found: list[Body] = []
    for row in rows:
        made = message(row) if isinstance(row, dict) else None
        if made is None:
            return value
        found += made
    return found or value


def message(row: Body) -> list[Body] | None:
    """Return one message in the common form; several where it bears results of tools; None for what is none."""
    role: Any = row.get("role")
    if not isinstance(role, str):
        role = _role_without(row)
        if role is None:
            return None
    elif role in _PLAIN:
        # Nearly all are such; nothing of them is copied.
        if len(row) == 2 and isinstance(row.get("content"), str):
            return [row]
        parts = row.get("parts")
        if isinstance(parts, list) and len(parts) == 1 and len(row) == 2 + ("finish_reason" in row):
            part = parts[0]
            if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("content"), str):
                return [{"role": role, "content": part["content"]}]
    return _Reading(_ROLES.get(role, role)).message(row)


def _role_without(row: Body) -> str | None:
    """Return the role of what says by its type what it is: items of OpenAI's Responses, and LangChain's messages."""
    kind = text_at(row, "type")
    if kind in {"function_call", "reasoning"} and ("arguments" in row or "summary" in row):
        return "assistant"
    if kind == "function_call_output":
        return "tool"
    is_langchain = kind in {"human", "ai", "system", "tool"} and "content" in row
    return kind if is_langchain else None


def text_at(row: Body, name: str) -> str:
    """Return a text in a map; an empty one for anything else."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


class _Reading:
    """One message while it is read."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._parts: list[Body] = []
        self._calls: list[Body] = []
        self._results: list[Body] = []

    def message(self, row: Body) -> list[Body]:
        kind = text_at(row, "type")
        if kind in _CALLS or kind in _RESULTS or kind == "reasoning":
            self._part(row)
        else:
            self._whole(row)
        head: Body = {"role": self._role, "content": _content(self._parts)}
        if text_at(row, "name") and not self._calls:
            head["name"] = row["name"]
        if self._calls:
            head["tool_calls"] = self._calls
        answers = text_at(row, "tool_call_id") or (text_at(row, "id") if self._role == "tool" else "")
        if answers and not self._results:
            head["tool_call_id"] = answers
        if self._results and not self._parts and not self._calls:
            return self._results
        return [head, *self._results] if self._role == "assistant" else [*self._results, head]

    def _whole(self, row: Body) -> None:
        for name in ("reasoning_content", "reasoning"):
            if text_at(row, name):
                self._parts.append({"type": "reasoning", "text": row[name]})
        given = row.get("parts")
        given = row.get("content") if given is None else given
        for part in given if isinstance(given, list) else [given]:
            self._part(part)
        if text_at(row, "refusal"):
            self._parts.append({"type": "refusal", "text": row["refusal"]})
        made = row.get("tool_calls")
        legacy = row.get("function_call")
        for call in made if isinstance(made, list) else [legacy] if isinstance(legacy, dict) else []:
            self._calls.append(_call(call) if isinstance(call, dict) else {"type": "function", "function": call})

    def _part(self, part: Any) -> None:
        if part is None or part == "":
            return
        if not isinstance(part, dict):
            self._parts.append({"type": "text", "text": part if isinstance(part, str) else _text(part)})
            return
        row: Body = part
        kind = row.get("type")
        if not isinstance(kind, str):
            named = next((name for name in _NAMED if isinstance(row.get(name), dict)), None)
            if named is None:
                is_text = isinstance(row.get("text"), str)
                self._parts.append({"type": "text", "text": row["text"] if is_text else _text(row)})
                return
            kind, row = _NAMED[named], row[named]
        if kind in _TEXTS:
            self._parts.append({"type": _TEXTS[kind], "text": _said(row)})
        elif kind in _CALLS:
            self._calls.append(_call(row))
        elif kind in _RESULTS:
            self._results.append(_result(row))
        else:
            self._parts.append(_media(kind, row) or part if kind in _MEDIA else part)


def _content(parts: list[Body]) -> str | list[Body]:
    """Return text where there is nothing else."""
    if all(part.get("type") == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _said(row: Body) -> str:
    for name in ("text", "content", "thinking", "refusal", "summary"):
        value = row.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "\n".join(_said(part) if isinstance(part, dict) else str(part) for part in value)
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json.encode(value).decode()


def _first(row: Body, *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _call(row: Body) -> Body:
    """Return a call of a tool in the common form."""
    inner = row.get("function", row.get("custom"))
    given: Body = inner if isinstance(inner, dict) else row
    name, arguments = _first(given, "name", "toolName"), _first(given, "arguments", "input", "args")
    function = {} if name is None else {"name": name}
    if arguments is not None:
        function["arguments"] = _text(arguments)
    answers = _first(row, "call_id", "id", "toolCallId", "toolUseId")
    return {**({} if answers is None else {"id": answers}), "type": "function", "function": function}


def _result(row: Body) -> Body:
    """Return the result of a tool as a message."""
    given = _first(row, "response", "result", "output", "content")
    if isinstance(given, dict) and isinstance(given.get("type"), str) and "value" in given:
        # The AI SDK says beside the value whether it is text or JSON.
        given = given["value"]
    reading = _Reading("tool")
    made = reading.message({"content": given})[0]
    found: Body = {"role": "tool", "content": made["content"]}
    for key, value in (
        ("tool_call_id", _first(row, "tool_call_id", "tool_use_id", "call_id", "id", "toolCallId", "toolUseId")),
        ("name", _first(row, "name", "toolName")),
    ):
        if isinstance(value, str):
            found[key] = value
    return found


def _media(kind: str, row: Body) -> Body | None:
    """Return an image, a sound or a file with the address of what is in it; None where there is none."""
    inner = next((row[name] for name in (kind, "source", "file") if isinstance(row.get(name), dict)), row)
    inner = inner["source"] if isinstance(inner.get("source"), dict) else inner
    names = ("url", "uri", "fileUri", "file_uri", "data", "bytes", "content", "file_data", "file_url", "image_url",
             "image", "base64", "file_id", "fileId", "id")  # fmt: skip
    address = next((value for at in (inner, row) for name in names if isinstance(value := at.get(name), str)), None)
    if address is None:
        return None
    types = ("media_type", "mime_type", "mimeType", "mediaType", "format")
    told = next((value for at in (inner, row) for name in types if isinstance(value := at.get(name), str)), "")
    told = told or type_in(address)
    family = str(row.get("modality") or kind.removesuffix("_url").removeprefix("input_"))
    family = family if family in _KINDS else kind_of(told)
    if told and "/" not in told:
        told = f"{family}/{told}"
    found: Body = {"type": family, "url": address}
    if told:
        found["media_type"] = told
    name = _first(inner, "filename", "name", "title") or _first(row, "filename", "name", "title")
    if isinstance(name, str):
        found["name"] = name
    return found


def _of_body(body: Body) -> list[Any] | None:
    """Return the messages of a provider's request or answer, or of one message; None for anything else."""
    choices = body.get("choices", body.get("candidates"))
    if isinstance(choices, list) and choices:
        return _listed([_of_choice(choice) for choice in choices])
    if "role" in body or (text_at(body, "type") in {"human", "ai"} and "content" in body):
        return message(body)
    for name in ("messages", "contents", "input", "output", "prompt"):
        rows = body.get(name)
        if isinstance(rows, str) and name in {"input", "prompt"} and ("model" in body or "system" in body):
            rows = [{"role": "user", "content": rows}]
        if isinstance(rows, list) and rows:
            found = _listed(rows)
            if name != "messages" and (found is rows and not _are_messages(rows)):
                continue
            return [*_system(body), *found]
    inner = body.get("message")
    return message(inner) if isinstance(inner, dict) and "role" in inner else None


def _are_messages(rows: list[Any]) -> bool:
    return all(isinstance(row, dict) and "role" in row for row in rows)


def _of_choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    if isinstance(choice.get("message"), dict):
        return {"role": "assistant"} | choice["message"]
    if isinstance(choice.get("content"), dict):
        return {"role": "assistant"} | choice["content"]
    return {"role": "assistant", "content": choice["text"]} if isinstance(choice.get("text"), str) else choice


def _system(body: Body) -> list[Body]:
    """Return what stands beside the messages and is one."""
    for name in ("system", "instructions", "systemInstruction", "system_instruction"):
        given = body.get(name)
        if isinstance(given, dict):
            given = given.get("parts")
        if isinstance(given, str | list) and given:
            return message({"role": "system", "content": given}) or []
    return []
