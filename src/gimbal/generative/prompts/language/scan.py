"""Finds the tags of a template: what each is, where it stands, and which lines hold nothing but a tag of a block."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from gimbal.kernel.errors import BadInput

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Everything that stands between double braces, escaped or not; what is inside is checked, not guessed.
_BRACES = re.compile(r"\\\{\{|\{\{(.*?)\}\}|\{\{", re.DOTALL)
_REST_OF_LINE = re.compile(r"[ \t]*(?:\r?\n|\Z)")
_ELSE_IF = re.compile(r"else\s+if(?:\s+|\Z)")
_WHERE = re.compile(r"line (\d+), column (\d+)(.*)", re.DOTALL)
_LONGEST_SHOWN = 60

Kind = Literal["put", "if", "each", "else", "else if", "end", "include", "comment"]


class Source(NamedTuple):
    """A text in which tags stand."""

    text: str
    name: str = ""
    """The prompt that it is included from; empty for the template itself."""

    def problem(self, at: int, message: str, todo: str) -> BadInput:
        """Return the error that names line and column of a place in the text."""
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        of = f" of {self.name}" if self.name else ""
        return BadInput(message, where=f"line {line}, column {column}{of}", todo=todo)


class Place(NamedTuple):
    """Where an error of a template is."""

    line: int
    column: int
    of: str
    """The rest: ` of support/tone@v3` where it is in an included prompt."""


def place_of(where: str) -> Place | None:
    """Return the place that the `where` of an error names, or None when it names another sort of place."""
    found = _WHERE.fullmatch(where)
    return Place(int(found[1]), int(found[2]), found[3]) if found else None


class Tag(NamedTuple):
    """One tag."""

    kind: Kind
    words: str
    """What stands behind the word or mark that says its kind."""
    at: int
    """Offset of its braces."""


def scan(source: Source) -> Iterator[str | Tag]:
    """Yield texts and tags in their order; a tag of a block that is alone on its line takes the line with it.

    Raise BadInput with line and column for braces that are not closed.
    """
    text, position, depth = source.text, 0, 0
    # Whether `position` is at the beginning of a line.
    fresh = True
    for match in _BRACES.finditer(text):
        literal, end = text[position : match.start()], match.end()
        if match[0].startswith("\\"):
            yield literal + "{{"
            position, fresh = end, False
            continue
        if match[1] is None:
            raise not_a_placeholder(source, match.start(), match[0])
        tag = _tag(match[1].strip(), match.start(), depth)
        depth += (tag.kind in {"if", "each"}) - (tag.kind == "end")
        alone = None
        if tag.kind not in {"put", "include"}:
            bare = literal.rstrip(" \t")
            alone = _REST_OF_LINE.match(text, end) if bare.endswith("\n") or (fresh and not bare) else None
            literal, end = (bare, alone.end()) if alone else (literal, end)
        if literal:
            yield literal
        yield tag
        position, fresh = end, alone is not None
    if position < len(text):
        yield text[position:]


def not_a_placeholder(source: Source, at: int, shown: str) -> BadInput:
    """Return the error for braces that are none of the tags."""
    return source.problem(
        at,
        f"{(shown.splitlines() or [''])[0][:_LONGEST_SHOWN]!r} is not a placeholder.",
        "Write {{name}} with letters, digits and '_', or \\{{ where two braces are meant as text.",
    )


def _tag(inside: str, at: int, depth: int) -> Tag:
    mark, rest = inside[:1], inside[1:].strip()
    if mark == "#":
        word, words = (*rest.split(None, 1), "", "")[:2]
        if word == "if" or word == "each":  # noqa: PLR1714 - so a type checker knows what is left
            return Tag(word, words, at)
        # No path begins with this mark, so that it is refused as what is no placeholder.
        return Tag("put", inside, at)
    if mark == "/":
        return Tag("end", rest, at)
    if mark == ">":
        return Tag("include", rest, at)
    if mark == "!":
        return Tag("comment", "", at)
    # Outside of blocks `else` is a variable like any other.
    if depth > 0 and inside == "else":
        return Tag("else", "", at)
    if depth > 0 and (found := _ELSE_IF.match(inside)):
        return Tag("else if", inside[found.end() :], at)
    return Tag("put", inside, at)
