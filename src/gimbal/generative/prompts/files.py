r"""Prompt files: TOML front matter between `+++` lines, then one `## role` section per message.

    +++
    model = "local/extractive"
    description = "Answers questions about Gimbal from its docs."

    [params]
    temperature = 0.0

    [retrieval]
    index = "index:help/docs"
    k = 4
    +++

    ## system
    Answer from the sources only.

    ## user
    {{context}}

    Question: {{question}}

A line that is exactly `## system`, `## developer`, `## user` or `## assistant` starts a message; other headings are
text, and `\## user` is that line as text. Blank lines around a message are not part of it. Front matter holds
`model`, `description`, `variables` (optional: then the list must be the placeholders that are used), `[params]` and
`[retrieval]`. `read_prompt` turns a file into a manifest, `write_prompt` is its inverse.
"""

import re
import tomllib
from typing import Any, cast

import msgspec

from gimbal.generative.prompts.model import (
    ROLES,
    PromptManifest,
    PromptMessage,
    PromptParams,
    RetrievalSetting,
    Role,
    check_manifest,
    placeholders,
    variables_of,
)
from gimbal.kernel.errors import BadInput

FENCE = "+++"
SUFFIX = ".md"
_HEADING = re.compile(rf"##[ \t]+({'|'.join(ROLES)})[ \t]*")
_ESCAPED = re.compile(rf"\\+##[ \t]+({'|'.join(ROLES)})[ \t]*")
_TOML_LINE = re.compile(r" \(at line (\d+), column (\d+)\)")


class _FrontMatter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand between the fences."""

    model: str
    description: str = ""
    variables: tuple[str, ...] | None = None
    params: PromptParams = PromptParams()
    retrieval: RetrievalSetting | None = None


def read_prompt(text: str, path: str = "prompt") -> PromptManifest:
    """Return the manifest that a prompt file means; raise BadInput with `path:line` and what is wrong there."""
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
    front = _front_matter(lines[start + 1 : end], start + 2, path)
    messages = _messages(lines, end + 1, path)
    used = variables_of(messages)
    if front.variables is not None and tuple(sorted(set(front.variables))) != used:
        raise BadInput(
            f"The file declares the variables {sorted(set(front.variables))} but uses {list(used)}.",
            where=f"{path}:{_line_of('variables', lines[start + 1 : end], start + 2)}",
            todo="Declare exactly the placeholders that the messages use, or leave `variables` out.",
        )
    manifest = PromptManifest(
        messages=messages,
        model=front.model,
        params=front.params,
        variables=used,
        retrieval=front.retrieval,
        description=front.description,
    )
    try:
        return check_manifest(manifest)
    except BadInput as problem:
        table, _, key = problem.where.rpartition(".")
        front_lines, first = lines[start + 1 : end], start + 2
        line = _line_of(key, front_lines, first, _line_of(table, front_lines, first))
        raise BadInput(problem.message, where=f"{path}:{line}", todo=problem.todo) from None


def _front_matter(lines: list[str], first: int, path: str) -> _FrontMatter:
    try:
        tree = tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as problem:
        found = _TOML_LINE.search(str(problem))
        line = min(int(found[1]), max(1, len(lines))) + first - 1 if found else first
        what = _TOML_LINE.sub("", str(problem))
        raise BadInput(
            f"The front matter is not valid TOML: {what}.", where=f"{path}:{line}", todo="Mend that line."
        ) from None
    try:
        return msgspec.convert(tree, _FrontMatter)
    except msgspec.ValidationError as problem:
        what, _, place = str(problem).partition(" - at ")
        named = re.search(r"field `([^`]+)`", what)
        key = named[1] if named else place.strip("`").removeprefix("$.").rpartition(".")[2].partition("[")[0]
        raise BadInput(
            f"The front matter does not fit: {what[:1].lower()}{what[1:]}.",
            where=f"{path}:{_line_of(key, lines, first)}",
            todo="It may hold model, description, variables, [params] (temperature, top_p, max_tokens, stop, seed) "
            "and [retrieval] (index, k, query, into).",
        ) from None


def _line_of(key: str, lines: list[str], first: int, fallback: int | None = None) -> int:
    """Return the line on which `key` (or the table of that name) is set; else `fallback`, else the first line."""
    pattern = re.compile(rf"\s*(\[?\s*)[\"']?{re.escape(key)}[\"']?\s*[=\].]")
    otherwise = first if fallback is None else fallback
    return next((first + n for n, line in enumerate(lines) if key and pattern.match(line)), otherwise)


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
            list(placeholders(content))
        except BadInput as problem:
            line = first + int(problem.where.removeprefix("line ")) - 1
            raise BadInput(problem.message, where=f"{path}:{line}", todo=problem.todo) from None
        messages.append(PromptMessage(role=role, content=content))
    return tuple(messages)


def _unescape(line: str) -> str:
    return line[1:] if _ESCAPED.fullmatch(line) else line


def write_prompt(manifest: PromptManifest) -> str:
    """Return the text of a file that `read_prompt` turns into this manifest (blank edges of messages are not kept)."""
    front = [f"model = {_toml(manifest.model)}"]
    if manifest.description:
        front.append(f"description = {_toml(manifest.description)}")
    for table, struct in (("params", manifest.params), ("retrieval", manifest.retrieval)):
        rows: dict[str, Any] = {} if struct is None else msgspec.to_builtins(struct)
        if rows:
            front += ["", f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in rows.items())]
    parts = [FENCE, *front, FENCE]
    for message in manifest.messages:
        lines = message.content.split("\n")
        escaped = [f"\\{line}" if _HEADING.fullmatch(line) or _ESCAPED.fullmatch(line) else line for line in lines]
        parts += ["", f"## {message.role}", *escaped]
    return "\n".join(parts) + "\n"


def _toml(value: Any) -> str:
    """Return a TOML value; JSON's strings, numbers and lists are TOML's, but for the escape of U+007F."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007F")
