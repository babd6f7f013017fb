"""Scorers as words of a command line: a name, or JSON of one with its parameters, or of several."""

from typing import Any

import msgspec

from gimbal.kernel.errors import BadInput


def read_scorers(text: str) -> list[Any]:
    """Return what `--scorer` means; raise BadInput for half of a JSON."""
    if not text.lstrip().startswith(("{", "[")):
        return [text]
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as problem:
        raise BadInput(
            f"{text!r} is no scorer: {problem}.",
            where="--scorer",
            todo='Write exact_match, or {"scorer": …, "params": …}.',
        ) from None
    return found if isinstance(found, list) else [found]
