"""Keys of the operator's, from a file or a variable; they are in no store and no backup.

Several with ids let them be changed: the newest one makes, all of them open. Who destroys one has destroyed what only it opens.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path

from gimbal.kernel.errors import ConfigurationError

FEWEST_BYTES = 32
_LINE = re.compile(r"([a-z0-9]{1,16}):([A-Za-z0-9+/=_-]+)", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/")
_MAKE = "Make one: `echo k1:$(openssl rand -base64 48)`."


def keys_at(
    file: str, variable: str, *, of: str, noun: str, environ: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """Return the keys by their ids, the newest first; none where neither a file nor a variable is named.

    `of` is the group of settings that names them as `key_file` and `key_env`, `noun` what people call one of them. Raise
    ConfigurationError, which never says a key.
    """
    if file and variable:
        raise ConfigurationError(
            f"The {noun}s stand in two places.", where=f"{of}.key_env", todo="Set the file or the variable."
        )
    if file:
        try:
            text = Path(file).expanduser().read_text()
        except (OSError, UnicodeDecodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else "it is no text"
            raise ConfigurationError(
                f"The file of the {noun}s cannot be read: {why}.",
                where=f"{of}.key_file",
                todo="Give a file that only Gimbal may read.",
            ) from None
        return read_keys(text, f"{of}.key_file", noun)
    if variable:
        return read_keys((os.environ if environ is None else environ).get(variable, ""), f"{of}.key_env", noun)
    return {}


def read_keys(text: str, where: str, noun: str) -> dict[str, bytes]:
    """Return the keys of a text, one `id:base64` a line, the newest first; raise ConfigurationError for anything else."""
    secrets: dict[str, bytes] = {}
    lines = [line.strip() for line in re.split(r"[\n,]", text)]
    for number, line in enumerate((line for line in lines if line and not line.startswith("#")), 1):
        found = _LINE.fullmatch(line)
        try:
            secret = base64.b64decode(found[2].translate(_URL_SAFE), validate=True) if found else b""
        except binascii.Error:
            secret = b""
        if found is None or len(secret) < FEWEST_BYTES or found[1] in secrets:
            raise ConfigurationError(
                f"Key {number} of the {noun}s is none: it is not `id:base64` of at least {FEWEST_BYTES} random bytes, or has "
                "the id of another.",
                where=where,
                todo=_MAKE,
            )
        secrets[found[1]] = secret
    if not secrets:
        raise ConfigurationError(f"There is no {noun} where one was said to be.", where=where, todo=_MAKE)
    return secrets
