"""Prompts of MLflow's registry as ours, and ours as MLflow shows them.

There a prompt is a text, or a list of messages, with `{{ name }}` where values go; names may have dots, and chat messages
may hold more than text. What ours cannot say is kept as it is and is filled by MLflow alone.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gimbal.generative.prompts.language.scan import NAME, Source, not_a_placeholder, scan
from gimbal.generative.prompts.model import (
    ROLES,
    ForeignPrompt,
    PromptManifest,
    PromptMessage,
    PromptParams,
    Role,
    variables_of,
)
from gimbal.kernel.errors import BadInput

IS_PROMPT = "mlflow.prompt.is_prompt"
TEXT = "mlflow.prompt.text"
TYPE = "_mlflow_prompt_type"
RESPONSE_FORMAT = "_mlflow_prompt_response_format"
MODEL_CONFIG = "_mlflow_prompt_model_config"
CONTENT = frozenset({IS_PROMPT, TEXT, TYPE})
"""Tags that are what a version says: they stand as long as it does."""
_PARAMS = ("temperature", "top_p", "max_tokens")


def manifest_of(tags: Mapping[str, str], registration: str) -> PromptManifest:
    """Return the manifest of a version by its tags; raise BadInput where there is no text."""
    if TEXT not in tags:
        raise BadInput(
            f"A prompt version needs the tag {TEXT}.",
            where="tags",
            kept="nothing",
            todo="Use mlflow.genai.register_prompt.",
        )
    text = tags[TEXT]
    messages, unread = _chat(text) if tags.get(TYPE) == "chat" else ((PromptMessage(role="user", content=text),), "")
    variables: tuple[str, ...] = ()
    if not unread:
        try:
            for message in messages:
                _check_plain(message.content)
            variables = variables_of(messages)
        except BadInput as problem:
            unread = problem.message
    model, params = _model(tags.get(MODEL_CONFIG, ""))
    foreign = ForeignPrompt(format="mlflow", registration=registration, unread=unread)
    return PromptManifest(messages=messages, model=model, params=params, variables=variables, foreign=foreign)


def tags_of(manifest: PromptManifest) -> dict[str, str]:
    """Return the tags by which MLflow reads a prompt that was made here."""
    single = len(manifest.messages) == 1 and manifest.messages[0].role == "user"
    if single:
        return {TEXT: manifest.messages[0].content, TYPE: "text"}
    chat = [{"role": one.role, "content": one.content} for one in manifest.messages]
    return {TEXT: msgspec.json.encode(chat).decode(), TYPE: "chat"}


def _check_plain(content: str) -> None:
    """Raise BadInput for a tag that is no plain `{{name}}`: to MLflow all else means something else, or nothing."""
    source = Source(content)
    for piece in scan(source):
        if not isinstance(piece, str) and (piece.kind != "put" or not NAME.fullmatch(piece.words)):
            raise not_a_placeholder(source, piece.at, content[piece.at : content.find("}}", piece.at) + 2])


def _chat(text: str) -> tuple[tuple[PromptMessage, ...], str]:
    """Return the messages of a chat prompt, and why they are none of ours: then the text is one message."""
    whole = (PromptMessage(role="user", content=text),)
    try:
        rows = msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError:
        return whole, "The text is no list of messages."
    messages: list[PromptMessage] = []
    for row in rows:
        role, content = row.get("role"), row.get("content")
        if role not in ROLES or not isinstance(content, str):
            return whole, "A message is of another role, or is no text."
        known: Role = role
        messages.append(PromptMessage(role=known, content=content))
    return (tuple(messages), "") if messages else (whole, "There are no messages.")


def _model(config: str) -> tuple[str, PromptParams]:
    """Return the model that a prompt was written for and its parameters, as far as they are ours."""
    try:
        given = msgspec.json.decode(config, type=dict[str, Any]) if config else {}
    except msgspec.DecodeError:
        given = {}
    name, provider = given.get("model_name"), given.get("provider")
    model = (
        "" if not isinstance(name, str) else f"{provider}/{name}" if isinstance(provider, str) and provider else name
    )
    params = {key: given[key] for key in _PARAMS if given.get(key) is not None}
    if stop := given.get("stop_sequences"):
        params["stop"] = stop
    try:
        return model, msgspec.convert(params, PromptParams)
    except msgspec.ValidationError:
        # Out of our bounds; the tag has it.
        return model, PromptParams()
