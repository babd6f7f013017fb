"""A prompt as a program holds it: filled in memory, in the version that its reference means at that moment."""

import functools
import weakref
from collections.abc import Mapping
from typing import Any

import msgspec

from gimbal.faces.client.client import Client
from gimbal.faces.client.prompting.shelf import Held, shelves
from gimbal.faces.client.tracing import Span, current_span
from gimbal.faces.client.wire import text
from gimbal.generative.prompts.model import (
    VARIABLES_ATTRIBUTE,
    PromptTool,
    PromptView,
    ResponseSchema,
    format_messages,
)
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import AtVersion, Ref

REFS = "gimbal.refs"
"""The attribute of a span that names the versions that it used."""
# Until a span is gone: what has been noted is read back nowhere else.
_noted: "weakref.WeakKeyDictionary[Span, list[str]]" = weakref.WeakKeyDictionary()


class Prompt:
    """A reference to a prompt: every use means the version that it stands on then.

    Made by `gimbal.prompt`. Where several of its parts belong together, take them from `pinned`, which does not move.
    """

    def __init__(self, held: Held) -> None:
        self._held = held

    def format(self, /, **variables: Any) -> list[dict[str, str]]:
        """Return the messages with these values, ready to be sent; the version is noted on the span around.

        Values are any JSON and are never expanded. What the prompt gets by retrieval is given as a variable like any
        other. Raise BadInput for a variable that is missing, unknown or of another type.
        """
        view = self._held.now()
        messages = format_messages(view.manifest, variables)
        note_use(view.ref, variables)
        return [{"role": message.role, "content": _sendable(message.content)} for message in messages]

    @property
    def pinned(self) -> "Prompt":
        """The version that it means now, which stays the same whatever moves."""
        view = self._held.now()
        return Prompt(Held(Ref.parse(view.ref), view))

    @property
    def ref(self) -> str:
        """Reference of the version: `prompt:support/answer@v3`."""
        return self._held.now().ref

    @property
    def version(self) -> int:
        """Number of the version, from 1."""
        return _number(self._held.now())

    @property
    def digest(self) -> str:
        """Digest of the version."""
        return self._held.now().digest

    @property
    def model(self) -> str:
        """Model that it was written for."""
        return self._held.now().manifest.model

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that it sets, and no others."""
        return msgspec.to_builtins(self._held.now().manifest.params)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables, sorted."""
        return self._held.now().manifest.variables

    @property
    def tools(self) -> tuple[PromptTool, ...]:
        """Tools that the model may call."""
        return self._held.now().manifest.tools

    @property
    def response(self) -> ResponseSchema | None:
        """The form that the answer must have, or None."""
        return self._held.now().manifest.response

    def __repr__(self) -> str:
        return f"<{self._held.ref}, now {self._held.view.ref}>"


def find_prompt(ref: str, client: Client) -> Prompt:
    """Return the prompt that a reference names; raise BadInput for another kind of asset."""
    return Prompt(shelves.of(client).find(as_prompt(ref), client))


def note_use(ref: str, variables: Mapping[str, Any]) -> None:
    """Note on the span around which version it uses, and filled with what; outside of all spans nothing happens."""
    span = current_span().running
    if span is None or span.place is None:
        return
    refs = _noted.setdefault(span, [])
    if ref not in refs:
        refs.append(ref)
    # What it takes to ask another version the same; of several uses the last.
    span.set(**{REFS: refs, VARIABLES_ATTRIBUTE: variables})


@functools.lru_cache(maxsize=1024)
def as_prompt(written: str) -> Ref:
    """Read the reference of a prompt; raise BadInput for what is none."""
    ref = Ref.parse(written, kind="prompt")
    if ref.kind != "prompt":
        raise BadInput(f"{ref} is not a prompt.", where="ref", todo="Write it like prompt:help/answer@production.")
    return ref


def _number(view: PromptView) -> int:
    chosen = as_prompt(view.ref).selector
    return chosen.number if isinstance(chosen, AtVersion) else 0


def _sendable(content: str) -> str:
    """Return text that a request can carry: of lone surrogates their escapes."""
    return content if content.isascii() else text(content)
