"""Makes a template of a text: a tuple of operations, with the names of its variables; made once and kept.

An included prompt is put in where its tag stands, so that a template is one thing however many prompts it is made of.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from gimbal.generative.prompts.language.conditions import Condition, read_condition
from gimbal.generative.prompts.language.scan import NAME, Source, Tag, not_a_placeholder, scan
from gimbal.generative.prompts.language.values import Path, read_path
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref

MAX_NESTING = 32
"""Blocks inside one another."""
MAX_INCLUDES = 8
"""Prompts that include one another."""
MAX_SOURCE = 10_000_000
"""Characters of a template with all that it includes."""
_LONGEST_KEPT = 100_000
_EACH = re.compile(rf"(\S+)\s+as\s+({NAME.pattern})")


class Included(NamedTuple):
    """A prompt that a template includes."""

    name: str
    """As the tag names it."""
    ref: str
    """What that means; for errors."""
    text: str
    includes: tuple["Included", ...] = ()
    """What it includes itself."""


class Branches(NamedTuple):
    """`{{#if}}` with its `{{else if}}` and `{{else}}`."""

    choices: tuple[tuple[Condition, "Operations"], ...]
    otherwise: "Operations"


class Loop(NamedTuple):
    """`{{#each}}` with its `{{else}}`."""

    path: Path
    body: "Operations"
    otherwise: "Operations"


Operations = tuple["str | Path | Branches | Loop", ...]


class Template(NamedTuple):
    """A text that can be filled."""

    operations: Operations
    variables: tuple[str, ...]
    """Names that need a value, sorted."""
    includes: tuple[str, ...]
    """What its own text includes, in the order of the tags, each once."""
    blocks: bool
    """Whether there are conditions or loops; without them it is filled by one join."""


class _Open:
    """A block that has not ended yet."""

    def __init__(self, tag: Tag, source: Source) -> None:
        self.tag = tag
        self.source = source
        self.condition: Condition | None = None
        self.loop: Path | None = None
        self.choices: list[tuple[Condition, Operations]] = []
        self.body: Operations | None = None
        self.inside: list[str | Path | Branches | Loop] = []

    def branch(self, tag: Tag) -> None:
        """End what stands before an `else`; raise BadInput where none may stand."""
        if self.tag.kind == "each" and tag.kind == "else if":
            raise self.source.problem(tag.at, "A loop has no else if.", "Put an {{#if}} into it.")
        if (self.body is not None) if self.loop else (self.condition is None):
            raise self.source.problem(tag.at, "An else stands behind the last one.", "Leave one {{else}}, at the end.")
        if self.condition is not None:
            self.choices.append((self.condition, tuple(self.inside)))
            self.condition = None
        else:
            self.body = tuple(self.inside)
        self.inside = []

    def ended(self) -> Branches | Loop:
        """Return the whole block."""
        rest = tuple(self.inside)
        if self.loop is not None:
            return Loop(self.loop, rest if self.body is None else self.body, () if self.body is None else rest)
        if self.condition is not None:
            return Branches((*self.choices, (self.condition, rest)), ())
        return Branches(tuple(self.choices), rest)


class _Builder:
    """Puts a template together; included texts are read into the same one."""

    def __init__(self, *, lenient: bool) -> None:
        self.variables: set[str] = set()
        self.includes: dict[str, None] = {}
        self.blocks = False
        self._lenient = lenient
        self._scope: list[str] = []
        self._nesting = 0
        self._read = 0

    def build(self, source: Source, includes: Sequence[Included], above: tuple[str, ...]) -> Operations:
        """Return the operations of a text; `above` is the references that it is included through."""
        self._read += len(source.text)
        if self._read > MAX_SOURCE:
            raise source.problem(
                0, f"The template has more than {MAX_SOURCE:,} characters with what it includes.", "Make it shorter."
            )
        given = {one.name: one for one in includes}
        done: list[str | Path | Branches | Loop] = []
        blocks: list[_Open] = []
        for piece in scan(source):
            inside = blocks[-1].inside if blocks else done
            if isinstance(piece, str):
                inside.append(piece)
            elif piece.kind == "put":
                inside.append(self._path(piece.words, source, piece))
            elif piece.kind == "include":
                inside.extend(self._include(piece, source, given, above))
            elif piece.kind in {"if", "each"}:
                blocks.append(self._open(piece, source))
            elif piece.kind in {"else", "else if"}:
                self._branch(blocks[-1], piece)
            elif piece.kind == "end":
                self._end(piece, blocks, source, done)
        if blocks:
            tag = blocks[-1].tag
            raise source.problem(tag.at, f"{{{{#{tag.kind}}}}} does not end.", f"Close it with {{{{/{tag.kind}}}}}.")
        return tuple(done)

    def _path(self, words: str, source: Source, tag: Tag) -> Path:
        path = read_path(words, self._scope, source, tag.at)
        if path is None:
            end = source.text.find("}}", tag.at) + 2
            raise not_a_placeholder(source, tag.at, source.text[tag.at : end])
        return self._noted(path)

    def _noted(self, path: Path) -> Path:
        if path.frame < 0:
            self.variables.add(path.name)
        return path

    def _condition(self, tag: Tag, source: Source) -> Condition:
        condition = read_condition(tag.words, self._scope, source, tag.at)
        for path in condition.paths():
            self._noted(path)
        return condition

    def _open(self, tag: Tag, source: Source) -> _Open:
        self.blocks = True
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise source.problem(
                tag.at,
                f"More than {MAX_NESTING} blocks stand inside one another.",
                "Make it flatter, or several prompts.",
            )
        block = _Open(tag, source)
        if tag.kind == "if":
            block.condition = self._condition(tag, source)
            return block
        found = _EACH.fullmatch(tag.words)
        path = read_path(found[1], self._scope, source, tag.at) if found else None
        if found is None or path is None:
            raise source.problem(
                tag.at, f"{tag.words[:60]!r} is no loop.", "Write it like {{#each items as item}} … {{/each}}."
            )
        block.loop = self._noted(path)
        self._scope.append(found[2])
        return block

    def _branch(self, block: _Open, tag: Tag) -> None:
        first = block.loop is not None and block.body is None
        block.branch(tag)
        if first:
            # What stands for an empty list knows no item.
            self._scope.pop()
        if tag.kind == "else if":
            block.condition = self._condition(tag, block.source)

    def _end(self, tag: Tag, blocks: list[_Open], source: Source, done: list[str | Path | Branches | Loop]) -> None:
        if not blocks or blocks[-1].tag.kind != tag.words:
            what = f"{{{{#{blocks[-1].tag.kind}}}}} is open" if blocks else "no block is open"
            raise source.problem(
                tag.at,
                f"'{{{{/{tag.words[:40]}}}}}' closes nothing: {what}.",
                "Close blocks in the order of their opening.",
            )
        block = blocks.pop()
        self._nesting -= 1
        if block.loop is not None and block.body is None:
            self._scope.pop()
        (blocks[-1].inside if blocks else done).append(block.ended())

    def _include(self, tag: Tag, source: Source, given: dict[str, Included], above: tuple[str, ...]) -> Operations:
        try:
            known = Ref.parse(tag.words, kind="prompt").kind == "prompt"
        except BadInput as problem:
            raise source.problem(tag.at, problem.message, "Write it like {{> support/tone@v3}}.") from None
        if not known:
            raise source.problem(tag.at, f"{tag.words[:60]!r} is no prompt.", "Write it like {{> support/tone@v3}}.")
        if not above:
            self.includes[tag.words] = None
        if self._lenient:
            return ()
        one = given.get(tag.words)
        if one is None:
            raise source.problem(
                tag.at, f"What {tag.words!r} says is not known here.", "Sync it, which pins what it means."
            )
        if len(above) >= MAX_INCLUDES:
            raise source.problem(
                tag.at, f"More than {MAX_INCLUDES} prompts include one another.", "Put the innermost texts together."
            )
        return self.build(Source(one.text, one.ref), one.includes, (*above, one.ref))


def compile_template(text: str, includes: tuple[Included, ...] = (), *, lenient: bool = False) -> Template:
    """Return the template of a text; raise BadInput with line and column for what is none.

    `lenient` leaves out what is included: then the variables and includes are those of the text itself.
    """
    if len(text) + sum(_size(one) for one in includes) > _LONGEST_KEPT:
        return _compile(text, includes, lenient)
    return _kept(text, includes, lenient)


def _size(one: Included) -> int:
    return len(one.text) + sum(_size(inner) for inner in one.includes)


def _compile(text: str, includes: tuple[Included, ...], lenient: bool) -> Template:
    builder = _Builder(lenient=lenient)
    operations = builder.build(Source(text), includes, ())
    return Template(operations, tuple(sorted(builder.variables)), tuple(builder.includes), builder.blocks)


_kept = lru_cache(maxsize=512)(_compile)
