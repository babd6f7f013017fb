"""A candidate as a prompt: other texts of the start's messages, examples before its last question, and the file of both.

What is no version of the start is refused here: a text that loses or adds a variable or an inclusion, or is no template.
"""

from collections.abc import Sequence

import msgspec

from gimbal.axis.assets import content
from gimbal.axis.assets.model import FileEntry
from gimbal.engines.storage.blobs import digest_of
from gimbal.generative.prompts.files import FENCE, read_prompt, write_prompt
from gimbal.generative.prompts.language import compile_template, render
from gimbal.generative.prompts.model import SOURCE, PromptManifest, PromptMessage, check_manifest
from gimbal.kernel.errors import BadInput

LONGEST = 20_000
"""Characters of a proposed text, or of one side of a shown example."""


class Refused(Exception):
    """A proposal is no candidate; the text is the reason under which it is counted."""


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """An example as a prompt shows it."""

    example: str
    """Its id in the suite."""
    user: str
    assistant: str


class Genome(msgspec.Struct, frozen=True, kw_only=True):
    """What candidates differ in."""

    texts: tuple[str, ...]
    """Of the start's messages, in their order."""
    shots: tuple[Shot, ...] = ()


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate, ready to be asked or stored."""

    manifest: PromptManifest
    text: str
    """Its file."""
    digest: str
    """Of the version that it would be."""


class Start:
    """The prompt that an optimisation begins with, and how candidates are made of it."""

    def __init__(self, manifest: PromptManifest, text: str, digest: str) -> None:
        """`text` is the file of the version, `digest` that of the version itself."""
        self.manifest = manifest
        self.genome = Genome(texts=tuple(message.content for message in manifest.messages))
        self._made = Made(manifest=manifest, text=text, digest=digest)
        self._head = _head_of(text)
        self._line_end = "\r\n" if "\r\n" in self._head else "\n"

    @property
    def question(self) -> int | None:
        """The place of the last message of the user, before which examples stand; None without one."""
        places = [n for n, message in enumerate(self.manifest.messages) if message.role == "user"]
        return places[-1] if places else None

    @property
    def instructions(self) -> list[int]:
        """The places of the messages that say how to answer; of a prompt without any, that of its question."""
        found = [n for n, message in enumerate(self.manifest.messages) if message.role in {"system", "developer"}]
        return found or [0 if self.question is None else self.question]

    def make(self, genome: Genome) -> Made:
        """Return a candidate; raise Refused for one that would not come back from its own file."""
        if genome == self.genome:
            return self._made
        messages = self._messages(genome)
        manifest = msgspec.structs.replace(self.manifest, messages=messages)
        written = write_prompt(manifest).partition(f"\n{FENCE}\n")[2]
        text = self._head + written.replace("\n", self._line_end)
        try:
            check_manifest(manifest)
            size = len(text.encode())
            back = read_prompt(text)
            plain = content.plain(msgspec.to_builtins(manifest))
        except UnicodeEncodeError:
            raise Refused("no text") from None
        except BadInput:
            raise Refused("no prompt") from None
        if back.messages != messages or back.params != manifest.params:
            raise Refused("not kept by its file")
        entry = FileEntry(path=SOURCE, digest=digest_of(text.encode()), size=size, media_type="text/markdown")
        return Made(manifest=manifest, text=text, digest=content.digest("prompt", plain, [entry]))

    def _messages(self, genome: Genome) -> tuple[PromptMessage, ...]:
        found = [
            PromptMessage(role=message.role, content=text)
            for message, text in zip(self.manifest.messages, genome.texts, strict=True)
        ]
        shown = [
            message
            for shot in genome.shots
            for message in (
                PromptMessage(role="user", content=escaped(shot.user)),
                PromptMessage(role="assistant", content=escaped(shot.assistant)),
            )
        ]
        at = len(found) if self.question is None else self.question
        return (*found[:at], *shown, *found[at:])


def _head_of(text: str) -> str:
    """Return a file up to the end of its front matter, as it stands there."""
    lines = text.split("\n")
    fences = [place for place, line in enumerate(lines) if line.removeprefix("\ufeff").strip() == FENCE]
    return "\n".join(lines[: fences[1] + 1]) + "\n"


def escaped(text: str) -> str:
    """Return a template that is this text and nothing else."""
    return text.replace("{{", "\\{{")


def shown(text: str) -> str | None:
    """Return a text as an example can show it; None for one that is empty, too long or would not stay what it is."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    if not text.strip() or len(text) > LONGEST:
        return None
    try:
        text.encode()
        return text if render(compile_template(escaped(text)), {}) == text else None
    except (UnicodeEncodeError, BadInput):
        return None


def check_proposal(before: str, after: str, known: Sequence[str] = ()) -> str:
    """Return a proposed text as it would be stored; raise Refused unless it takes exactly the variables of the old one.

    `known` are the texts that were tried in its place already.
    """
    after = after.replace("\r\n", "\n").strip("\n")
    if not after.strip():
        raise Refused("empty")
    if len(after) > LONGEST:
        raise Refused("too long")
    try:
        old, new = compile_template(before, lenient=True), compile_template(after, lenient=True)
    except BadInput:
        raise Refused("no template") from None
    if set(old.variables) - set(new.variables):
        raise Refused("lost a variable")
    if set(new.variables) - set(old.variables):
        raise Refused("added a variable")
    if set(old.includes) != set(new.includes):
        raise Refused("changed what is included")
    if after in known:
        raise Refused("nothing new")
    return after
