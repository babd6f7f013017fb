"""The master keys, from a file or a variable of the operator's; they are in no store and no backup.

Several with ids let them be changed: the newest one seals, all of them open. Who destroys one has destroyed what only it
opens.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path

from gimbal.generative.gateway.credentials.sealing import Seals
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings_gateway import GatewaySettings

_LINE = re.compile(r"([a-z0-9]{1,16}):([A-Za-z0-9+/=_-]+)", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/")
_FEWEST_BYTES = 32


def seals_of(settings: GatewaySettings, environ: Mapping[str, str] | None = None) -> Seals:
    """Return what seals and opens by the settings, nothing where no key is set; raise ConfigurationError, which says none."""
    if settings.key_file and settings.key_env:
        raise ConfigurationError(
            "The master keys stand in two places.", where="gateway.key_env", todo="Set the file or the variable."
        )
    if settings.key_file:
        try:
            return Seals(read(Path(settings.key_file).expanduser().read_text(), "gateway.key_file"))
        except (OSError, UnicodeDecodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else "it is no text"
            raise ConfigurationError(
                f"The file of the master keys cannot be read: {why}.",
                where="gateway.key_file",
                todo="Give a file that only Gimbal may read.",
            ) from None
    if settings.key_env:
        found = (os.environ if environ is None else environ).get(settings.key_env, "")
        return Seals(read(found, "gateway.key_env"))
    return Seals({})


def read(text: str, where: str) -> dict[str, bytes]:
    """Return the keys of a text, one `id:base64` a line, the newest first; raise ConfigurationError for anything else."""
    secrets: dict[str, bytes] = {}
    lines = [line.strip() for line in re.split(r"[\n,]", text)]
    for number, line in enumerate((line for line in lines if line and not line.startswith("#")), 1):
        found = _LINE.fullmatch(line)
        try:
            secret = base64.b64decode(found[2].translate(_URL_SAFE), validate=True) if found else b""
        except binascii.Error:
            secret = b""
        if found is None or len(secret) < _FEWEST_BYTES or found[1] in secrets:
            raise ConfigurationError(
                f"Master key {number} is none: it is not `id:base64` of at least {_FEWEST_BYTES} random bytes, or has the id "
                "of another.",
                where=where,
                todo="Make one: `echo k1:$(openssl rand -base64 48)`.",
            )
        secrets[found[1]] = secret
    if not secrets:
        raise ConfigurationError(
            "There is no master key where one was said to be.",
            where=where,
            todo="Make one: `echo k1:$(openssl rand -base64 48)`.",
        )
    return secrets
