"""Seals of providers' keys: AES-256-GCM under a key derived from a master key, bound to the provider that they are of.

A seal is `gk1.{id of the master key}.{base64 of nonce and ciphertext}`. The project and the provider's name are bound to
it, so that a row that is moved or copied to another place does not open there.
"""

import base64
import binascii
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.kernel.errors import ConfigurationError, NotReady

_SEAL = re.compile(r"gk1\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]+)", re.ASCII)
_NONCE_BYTES = 12
_TODO = "Set `gateway.key_file` or `gateway.key_env`, with the key that sealed it among them, and start again."


class Seals:
    """Makes and opens seals with the master keys of an installation."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self._ciphers = {name: AESGCM(_derived(secret)) for name, secret in secrets.items()}

    def __repr__(self) -> str:
        """Name the keys, without what they are."""
        return f"Seals({self.ids})"

    @property
    def ids(self) -> list[str]:
        """The ids of the master keys, the newest first."""
        return list(self._ciphers)

    def seal(self, secret: Secret, scope: str, name: str) -> str:
        """Return the seal of a provider's key; raise NotReady where there is no master key."""
        if not self._ciphers:
            raise NotReady(
                "A key can be sealed only under a master key, and there is none.",
                where="key",
                todo="Set `gateway.key_file` or `gateway.key_env` and start again, or name a variable by `key_env`.",
            )
        newest = next(iter(self._ciphers))
        nonce = os.urandom(_NONCE_BYTES)
        made = self._ciphers[newest].encrypt(nonce, secret.reveal().encode(), _bound(scope, name))
        return f"gk1.{newest}.{base64.urlsafe_b64encode(nonce + made).rstrip(b'=').decode()}"

    def open(self, seal: str, scope: str, name: str) -> Secret:
        """Return the key of a provider; raise ConfigurationError for a seal that does not open here."""
        found = _SEAL.fullmatch(seal)
        cipher = self._ciphers.get(found[1]) if found else None
        if found is None or cipher is None:
            raise ConfigurationError(
                f"The key of the provider {name!r} cannot be opened: its master key is not configured here, or was destroyed.",
                where=name,
                todo=_TODO,
            )
        try:
            made = base64.b64decode(found[2] + "=" * (-len(found[2]) % 4), altchars=b"-_", validate=True)
            return Secret(cipher.decrypt(made[:_NONCE_BYTES], made[_NONCE_BYTES:], _bound(scope, name)).decode())
        except (InvalidTag, ValueError, binascii.Error):
            raise ConfigurationError(
                f"The key of the provider {name!r} cannot be opened: it was sealed for another provider, or altered.",
                where=name,
                todo="Set the key again.",
            ) from None

    def is_newest(self, seal: str) -> bool:
        """Tell whether a seal was made with the newest master key."""
        found = _SEAL.fullmatch(seal)
        return bool(found and self._ciphers and found[1] == next(iter(self._ciphers)))


def sealed_with(seal: str) -> str:
    """Return the id of the master key that made a seal."""
    found = _SEAL.fullmatch(seal)
    return found[1] if found else ""


def _derived(secret: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA512(), length=32, salt=None, info=b"gimbal provider keys").derive(secret)


def _bound(scope: str, name: str) -> bytes:
    # Neither has a NUL: slugs and names are letters, digits and a few signs.
    return b"gimbal provider key\0" + scope.encode() + b"\0" + name.encode()
