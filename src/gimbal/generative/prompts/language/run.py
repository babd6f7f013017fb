"""Fills a template: carries its operations out, within limits of time and size."""

from collections.abc import Mapping
from typing import Any, cast

from gimbal.generative.prompts.language.parse import Branches, Loop, Operations, Template
from gimbal.generative.prompts.language.values import Frame, Path, kind_of, look, text_of
from gimbal.kernel.errors import BadInput

MAX_ITERATIONS = 100_000
"""Turns of all loops together."""
MAX_STEPS = 1_000_000
"""Operations that are carried out: turns alone would not bound what stands inside them."""
MAX_OUTPUT = 10_000_000
"""Characters of what comes out."""


def render(template: Template, values: Mapping[str, Any]) -> str:
    """Return the text with its values; raise BadInput for values that do not fit, and for what goes on too long.

    `values` has one for each of the template's variables.
    """
    if not template.blocks:
        # Without blocks there are texts and paths only.
        parts = [
            part if isinstance(part, str) else text_of(part, look(part, values, ()))
            for part in cast("tuple[str | Path, ...]", template.operations)
        ]
        if sum(map(len, parts)) > MAX_OUTPUT:
            raise too_long()
        return "".join(parts)
    run = _Run(values)
    run.all(template.operations)
    return "".join(run.parts)


def too_long() -> BadInput:
    """Return the error of a filled text that is beyond `MAX_OUTPUT`."""
    return BadInput(
        f"The filled text has more than {MAX_OUTPUT:,} characters.", where="variables", todo="Give shorter values."
    )


class _Run:
    """One filling of a template."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.parts: list[str] = []
        self._values = values
        self._frames: list[Frame] = []
        self._size = 0
        self._steps = 0
        self._iterations = 0

    def all(self, operations: Operations) -> None:
        """Carry out operations in their order."""
        self._steps += len(operations)
        for operation in operations:
            if isinstance(operation, str):
                self._say(operation)
            elif isinstance(operation, Path):
                self._say(text_of(operation, look(operation, self._values, self._frames)))
            elif isinstance(operation, Branches):
                self._choose(operation)
            else:
                self._repeat(operation)

    def _say(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_OUTPUT:
            raise too_long()
        self.parts.append(text)

    def _choose(self, branches: Branches) -> None:
        for condition, operations in branches.choices:
            self._steps += sum(map(len, condition.choices))
            if condition.holds(self._values, self._frames):
                self.all(operations)
                return
        self.all(branches.otherwise)

    def _repeat(self, loop: Loop) -> None:
        items = look(loop.path, self._values, self._frames)
        if not isinstance(items, list | tuple):
            raise loop.path.problem(f"{loop.path.written} is {kind_of(items)}, not a list.", "Give a list.")
        turns = cast("list[Any]", items)
        if not turns:
            self.all(loop.otherwise)
            return
        self._frames.append(Frame(None, 0, False))
        for index, item in enumerate(turns):
            self._iterations += 1
            if self._iterations > MAX_ITERATIONS:
                raise loop.path.problem(f"The loops turn more than {MAX_ITERATIONS:,} times.", "Give shorter lists.")
            if self._steps > MAX_STEPS:
                raise loop.path.problem(
                    f"Filling the template takes more than {MAX_STEPS:,} steps.",
                    "Give shorter lists, or split the prompt.",
                )
            self._frames[-1] = Frame(item, index, index == len(turns) - 1)
            self.all(loop.body)
        self._frames.pop()
