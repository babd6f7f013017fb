"""Keys, the tokens that they make and undo, and the digests that they make.

A token is `[kind:tok_{key id}_{AES-SIV of the value}]`: the same value has the same token in its project, so that what is
joined or counted by it stays right. The project and the kind are bound to it, so that it cannot be undone elsewhere. A
digest is `[kind:id_{key id}_{HMAC-SHA-256, 128 bits}]`. Each project has keys of its own, derived from those that the
operator configured; those stand in a file or a variable and nowhere else. Who destroys a key has destroyed what only its
tokens held.
"""

import base64
import hashlib
import hmac
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gimbal.kernel.keyring import keys_at
from gimbal.kernel.settings import RedactionSettings

TOKEN = re.compile(r"\[([a-z][a-z0-9_]{0,39}):tok_([a-z0-9]{1,16})_([A-Za-z0-9_-]{22,})\]", re.ASCII)
_DIGEST_BYTES = 16
# A value longer than this is masked: a token must not blow up what it stands in.
MOST_CHARACTERS = 4096


class Keys:
    """The keys of an installation, by id, in order."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self._secrets = secrets

    @property
    def ids(self) -> list[str]:
        """The ids, the newest first."""
        return list(self._secrets)

    def of(self, project: str) -> "ProjectKeys | None":
        """Return a project's keys; None where there are none."""
        return ProjectKeys(project, self._secrets) if self._secrets else None


class ProjectKeys:
    """What makes and undoes the tokens of one project."""

    def __init__(self, project: str, secrets: dict[str, bytes]) -> None:
        self._project = project.encode()
        self._ciphers = {name: AESSIV(_derived(one, b"token", project, 64)) for name, one in secrets.items()}
        self._newest, oldest = next(iter(secrets)), next(reversed(secrets))
        # A new key at the head leaves the digests as they are.
        self._hash_id, self._hash_key = oldest, _derived(secrets[oldest], b"hash", project, 32)

    def token(self, kind: str, value: str) -> str:
        """Return what takes the place of a value and can be undone."""
        made = self._ciphers[self._newest].encrypt(value.encode(errors="surrogatepass"), self._bound(kind))
        return f"[{kind}:tok_{self._newest}_{_text(made)}]"

    def digest(self, kind: str, value: str) -> str:
        """Return what takes the place of a value, the same for the same one, and cannot be undone."""
        said = kind.encode() + b"\0" + value.encode(errors="surrogatepass")
        made = hmac.new(self._hash_key, said, hashlib.sha256).digest()[:_DIGEST_BYTES]
        return f"[{kind}:id_{self._hash_id}_{_text(made)}]"

    def undone(self, token: str) -> str:
        """Return the value that a token stands for; raise ValueError with the reason."""
        found = TOKEN.fullmatch(token)
        if found is None:
            raise ValueError("it is no token")
        cipher = self._ciphers.get(found[2])
        if cipher is None:
            raise ValueError("its key is not configured here, or was destroyed")
        try:
            made = base64.b64decode(found[3] + "=" * (-len(found[3]) % 4), altchars=b"-_", validate=True)
            # Of base64 more than one form may be read.
            if _text(made) == found[3]:
                return cipher.decrypt(made, self._bound(found[1])).decode(errors="surrogatepass")
        except (InvalidTag, ValueError):
            pass
        raise ValueError("it is of another project, or was altered")

    def _bound(self, kind: str) -> list[bytes]:
        return [self._project, kind.encode()]


def _derived(secret: bytes, purpose: bytes, project: str, length: int) -> bytes:
    info = b"gimbal redaction " + purpose + b" " + project.encode()
    return HKDF(algorithm=hashes.SHA512(), length=length, salt=None, info=info).derive(secret)


def _text(made: bytes) -> str:
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def keys_of(settings: RedactionSettings) -> Keys:
    """Return the keys of the settings, none where none is set; raise ConfigurationError, which never says a key."""
    return Keys(keys_at(settings.key_file, settings.key_env, of="redaction", noun="key of redaction"))
