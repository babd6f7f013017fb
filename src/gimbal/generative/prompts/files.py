r"""Prompt files: TOML front matter between `+++` lines, then one `## role` section per message.

    +++
    model = "local/extractive"
    description = "Answers questions about Gimbal from its docs."
    owners = ["docs@example.com"]

    [params]
    temperature = 0.0

    [retrieval]
    index = "index:help/docs"
    k = 4

    [variables.tone]
    type = "text"
    default = "friendly"
    +++

    ## system
    Answer from the sources only. Be {{tone}}.

    ## user
    {{context}}

    Question: {{question}}

A line that is exactly `## system`, `## developer`, `## user` or `## assistant` starts a message; other headings are
text, and `\## user` is that line as text. Blank lines around a message are not part of it. Front matter holds
`model`, `description`, `owners`, `notes`, `[params]`, `[retrieval]`, `[variables.NAME]` (or `variables`, a list: then it
must be the placeholders that the file uses), `[[tools]]` and `[response]`. `read_prompt` turns a file into a manifest,
`write_prompt` is its inverse.
"""

import re
from typing import cast

from gimbal.generative.prompts.front import Front, Lines, read_front, write_front
from gimbal.generative.prompts.language import compile_template, place_of
from gimbal.generative.prompts.model import (
    ROLES,
    PromptManifest,
    PromptMessage,
    Role,
    check_manifest,
    variables_of,
)
from gimbal.kernel.errors import BadInput

FENCE = "+++"
SUFFIX = ".md"
_HEADING = re.compile(rf"##[ \t]+({'|'.join(ROLES)})[ \t]*")
_ESCAPED = re.compile(rf"\\+##[ \t]+({'|'.join(ROLES)})[ \t]*")


def read_prompt(text: str, path: str = "prompt") -> PromptManifest:
    """Return the manifest that a prompt file means; raise BadInput with `path:line` and what is wrong there.

    What it includes is not looked up yet: `variables` are its own, `includes` is empty.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    start = next((n for n, line in enumerate(lines) if line.strip()), 0)
    if lines[start].strip() != FENCE:
        raise BadInput(
            "A prompt file starts with front matter.", where=f"{path}:{start + 1}", todo=f"Begin with a line {FENCE}."
        )
    end = next((n for n in range(start + 1, len(lines)) if lines[n].strip() == FENCE), None)
    if end is None:
        raise BadInput(
            "The front matter does not end.", where=f"{path}:{start + 1}", todo=f"Close it with a line {FENCE}."
        )
    place = Lines(lines=lines[start + 1 : end], first=start + 2, path=path)
    front = read_front(place)
    messages = _messages(lines, end + 1, path)
    used = variables_of(messages, own=True)
    listed = front.matter.variables
    if isinstance(listed, tuple) and tuple(sorted(set(listed))) != used:
        raise BadInput(
            f"The file declares the variables {sorted(set(listed))} but uses {list(used)}.",
            where=f"{path}:{place.of('variables')}",
            todo="Declare exactly the placeholders that the messages use, or leave `variables` out.",
        )
    try:
        return check_manifest(_manifest(front, messages, used), own=True)
    except BadInput as problem:
        raise place.problem(_in_file(problem.where, front), problem.message, problem.todo) from None


def _manifest(front: Front, messages: tuple[PromptMessage, ...], used: tuple[str, ...]) -> PromptManifest:
    return PromptManifest(
        messages=messages,
        model=front.matter.model,
        params=front.matter.params,
        variables=used,
        retrieval=front.matter.retrieval,
        description=front.matter.description,
        declared=front.declared,
        tools=front.tools,
        response=front.response,
        owners=front.matter.owners,
        notes=front.matter.notes,
    )


def _in_file(where: str, front: Front) -> str:
    """Return the place in the front matter that a place in the manifest is of: declarations stand there by name."""
    found = re.fullmatch(r"declared\[(\d+)\](.*)", where)
    return f"variables.{front.declared[int(found[1])].name}{found[2]}" if found else where


def _messages(lines: list[str], begin: int, path: str) -> tuple[PromptMessage, ...]:
    found: list[tuple[Role, int]] = []
    for number in range(begin, len(lines)):
        if match := _HEADING.fullmatch(lines[number]):
            found.append((cast("Role", match[1]), number))
        elif not found and lines[number].strip():
            raise BadInput(
                "Text stands before the first message.",
                where=f"{path}:{number + 1}",
                todo="Put it under a line such as ## system or ## user.",
            )
    if not found:
        raise BadInput(
            "The prompt has no message.", where=f"{path}:{len(lines)}", todo="Add a line ## user and text under it."
        )
    messages: list[PromptMessage] = []
    for (role, number), after in zip(found, [*(n for _, n in found[1:]), len(lines)], strict=True):
        content = "\n".join(_unescape(line) for line in lines[number + 1 : after])
        first = number + 2 + len(content[: len(content) - len(content.lstrip("\n"))])
        content = content.strip("\n")
        if not content.strip():
            raise BadInput(
                f"The message ## {role} is empty.", where=f"{path}:{number + 1}", todo="Write it or remove its heading."
            )
        try:
            compile_template(content, lenient=True)
        except BadInput as problem:
            at = place_of(problem.where)
            where = f"{path}:{first + at.line - 1}:{at.column}" if at else f"{path}:{first}"
            raise BadInput(problem.message, where=where, todo=problem.todo) from None
        messages.append(PromptMessage(role=role, content=content))
    return tuple(messages)


def _unescape(line: str) -> str:
    return line[1:] if _ESCAPED.fullmatch(line) else line


def write_prompt(manifest: PromptManifest) -> str:
    """Return the text of a file that `read_prompt` turns into this manifest (blank edges of messages are not kept)."""
    parts = [FENCE, *write_front(manifest), FENCE]
    for message in manifest.messages:
        lines = message.content.split("\n")
        escaped = [f"\\{line}" if _HEADING.fullmatch(line) or _ESCAPED.fullmatch(line) else line for line in lines]
        parts += ["", f"## {message.role}", *escaped]
    return "\n".join(parts) + "\n"
