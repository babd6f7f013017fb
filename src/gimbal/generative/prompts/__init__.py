"""Prompts: messages with placeholders, the model and settings they were written for, as immutable asset versions.

`files` reads them from text files that live in Git, `service` syncs them into versions (`axis/assets`) and formats
them; `gateway` sends what comes out. Nothing in a template is ever executed, and values are never expanded again.
"""

from gimbal.generative.prompts.model import (
    PromptManifest,
    PromptMessage,
    PromptParams,
    RenderedMessage,
    RetrievalSetting,
    format_messages,
)

__all__ = [
    "PromptManifest",
    "PromptMessage",
    "PromptParams",
    "RenderedMessage",
    "RetrievalSetting",
    "format_messages",
]
