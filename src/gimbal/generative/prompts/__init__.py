"""Prompts: messages of a template language, the model and settings they were written for, as immutable asset versions.

`language` fills templates, `files` and `front` read them from text files that live in Git, `planning` says what a folder
of them would change (`including` looks up what they include, `changes` tells differences), `service` makes versions of
them (`axis/assets`) and fills them; `pages` and `edit_pages` show and write them in the console, `using` and `evaluated` say
what became of them; `gateway` sends what comes out. Nothing in a template is ever executed, and values are
never expanded again.
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
