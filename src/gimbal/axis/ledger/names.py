"""Whether two names mean the same model: providers write it in one way on the wire and in another on the bill."""

import re

_SNAPSHOT = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
_APART = re.compile(r"[\s._\-/]+")
EVERY = "*"
"""All models together."""


def alike(model: str) -> str:
    """Return what `claude-3-5-haiku-20241022` and `Claude Haiku 3.5` have in common; of one model it is always the same."""
    words = [word for word in _APART.split(_SNAPSHOT.sub("", model.strip().lower())) if word]
    # Names swap places, numbers keep their order: 4.5 is not 5.4.
    numbers = [word for word in words if word.isdigit()]
    return " ".join([*sorted(word for word in words if not word.isdigit()), *numbers]) or model
