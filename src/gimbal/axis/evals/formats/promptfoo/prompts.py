"""Prompts of a promptfoo config as prompt files of ours: front matter between `+++`, then a section for each message."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from gimbal.axis.evals.formats.files import MIB, kind_of, whole
from gimbal.axis.evals.formats.model import Collecting
from gimbal.axis.evals.formats.promptfoo.beside import PREFIX, Beside
from gimbal.axis.evals.formats.promptfoo.templates import as_ours
from gimbal.axis.evals.formats.yaml_files import parse_yaml
from gimbal.kernel.errors import BadInput, GimbalError

_ROLES = ("system", "developer", "user", "assistant")
_TEXTS = (".txt", ".md", ".j2", ".json", ".yaml", ".yml", ".csv", ".jsonl")
_MOST_TEXT = 8 * MIB
_BETWEEN = re.compile(r"^---[ \t]*$", re.MULTILINE)
_HEADING = re.compile(rf"^\\*##[ \t]+(?:{'|'.join(_ROLES)})[ \t]*$", re.MULTILINE)
_PARAMS = {"temperature": float, "top_p": float, "max_tokens": int, "seed": int}
_KINDS = frozenset({"chat", "completion", "responses", "messages", "realtime"})
_FOREIGN = frozenset({"file", "exec", "http", "https", "python", "golang", "ruby", "webhook", "package", "ws", "wss", "echo", "sequence", "browser"})  # fmt: skip
_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


class Prompts:
    """Takes the prompts of one config."""

    def __init__(self, config: Mapping[str, Any], beside: Beside, into: Collecting, shown: str) -> None:
        self._beside = beside
        self._into = into
        self._shown = shown
        self._model, self._params = self._chosen(config.get("providers") or config.get("targets"))

    def take(self, listed: Any) -> None:
        """Take all prompts, or note why one is not."""
        found = cast("list[Any]", listed) if isinstance(listed, list) else [] if listed is None else [listed]
        for index, one in enumerate(found):
            where = f"{self._shown} prompts[{index}]"
            try:
                for name, content in self._texts(one, where, f"prompt-{index + 1}"):
                    self._one(name, content, where)
            except (GimbalError, UnicodeError) as problem:
                told = problem.message if isinstance(problem, GimbalError) else str(problem)
                self._into.note(f"a prompt is left out: {told.rstrip('.')}", where)

    def _texts(self, one: Any, where: str, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(one, dict):
            prompt = cast("dict[str, Any]", one)
            name = str(prompt.get("label") or prompt.get("id") or name).removeprefix(PREFIX)
            one = prompt.get("raw") or prompt.get("id")
        if not isinstance(one, str):
            raise BadInput(f"It is {kind_of(one)}.", where=where)
        bare = one.removeprefix(PREFIX)
        if "\n" in one or not (one.startswith(PREFIX) or self._beside.has(bare)):
            yield name, one
            return
        if not bare.lower().endswith(_TEXTS) and "*" not in bare:
            raise BadInput(f"{one!r} is code, which is not run", where=where)
        for path in self._beside.find(one, where):
            text = whole(path, _MOST_TEXT)
            parts = [part.strip("\n") for part in _BETWEEN.split(text)] if path.suffix in {".txt", ".md"} else [text]
            for number, part in enumerate((part for part in parts if part.strip()), start=1):
                yield path.stem if number == 1 else f"{path.stem}-{number}", part

    def _one(self, name: str, content: str, where: str) -> None:
        messages = _messages(content)
        ours = [(role, as_ours(text)) for role, text in messages]
        if any(text is None for _, text in ours):
            self._into.note(
                "a prompt is left out: it has more of Nunjucks than plain {{places}}; write it anew with `gimbal sync`",
                where,
            )
            return
        if not self._model:
            self._into.note("a prompt is left out: no provider of the config says which model it is for", where)
            return
        sections = [f"## {role}\n{_HEADING.sub(_escaped, str(text)).strip()}\n" for role, text in ours]
        front = [f"model = {_toml(self._model)}", 'description = "Imported from promptfoo."']
        if self._params:
            front += ["", "[params]", *(f"{key} = {value}" for key, value in self._params.items())]
        clean = _UNFIT.sub("-", Path(name).stem.lower()).strip("-")[:60] or "prompt"
        self._into.prompt(clean, "\n".join(["+++", *front, "+++", "", "\n".join(sections)]))

    def _chosen(self, providers: Any) -> tuple[str, dict[str, Any]]:
        """Return model and parameters of the first provider that is a model; the others are noted."""
        found: list[tuple[str, dict[str, Any]]] = []
        listed: Sequence[Any] = cast("list[Any]", providers) if isinstance(providers, list) else [providers]
        for one in listed:
            config: Any = {}
            name: Any = one
            if isinstance(one, dict):
                each = cast("dict[str, Any]", one)
                name = each.get("id") if "id" in each else next(iter(each), None)
                config = each.get("config") or {}
            model = _model(name) if isinstance(name, str) else ""
            if model:
                found.append((model, _params(config)))
            elif name is not None:
                self._into.note("a provider is no model that the gateway could call", f"{self._shown} {str(name)[:80]}")
        if len(found) > 1:
            self._into.note(f"prompts come for the first of {len(found)} providers, {found[0][0]}", self._shown)
        return found[0] if found else ("", {})


def _messages(content: str) -> list[tuple[str, str]]:
    """Return role and text of each message; a text that is no list of messages is one of the user."""
    if content.lstrip()[:1] in {"[", "-"}:
        try:
            value = parse_yaml(content, "prompt")
        except GimbalError:
            value = None
        listed = cast("list[Any]", value) if isinstance(value, list) else []
        found: list[tuple[str, str]] = []
        for one in listed:
            message = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
            if message.get("role") in _ROLES and isinstance(message.get("content"), str):
                found.append((str(message["role"]), str(message["content"])))
        if found and len(found) == len(listed):
            return found
    return [("user", content)]


def _model(name: str) -> str:
    provider, _, rest = name.partition(":")
    if provider in _FOREIGN or not rest:
        return ""
    kind, _, model = rest.partition(":")
    return f"{provider}/{model if kind in _KINDS and model else rest}"


def _params(config: Any) -> dict[str, Any]:
    given = cast("dict[str, Any]", config) if isinstance(config, dict) else {}
    return {
        name: kind(given[name])
        for name, kind in _PARAMS.items()
        if isinstance(given.get(name), int | float) and not isinstance(given[name], bool)
    }


def _escaped(heading: re.Match[str]) -> str:
    # A line that would begin a message is text behind a backslash.
    return f"\\{heading[0]}"


def _toml(text: str) -> str:
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
