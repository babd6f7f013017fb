"""References: the one grammar by which SDK, CLI, HTTP, console and config name assets.

    ref       = [kind ":"] name ["@" selector]
    kind      = lower-case word                                 model
    name      = segment *( "/" segment )                        flights/delay
    selector  = "v" number                                      v7
              | "b3:" 8 to 64 hex digits                        b3:9f2c1d07
              | alias                                           production
              | alias "~" time                                  production~2026-05-03T12:00Z
              | "latest"                                        the newest version

A Ref is a question; a ResolvedRef (kind, name, number, digest) is its answer, and what runs and traces record.
"""

import re
from datetime import datetime

import msgspec

from gimbal.kernel.clock import iso, parse_time
from gimbal.kernel.errors import BadInput

KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}(?:/[a-z0-9][a-z0-9._-]{0,63}){0,7}")
ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_VERSION = re.compile(r"v([1-9][0-9]{0,8})")
# Names that could be taken for a selector of another sort are no aliases: latest, v7, also V7, v0 and v0000000007.
_RESERVED = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
_DIGEST = re.compile(r"b3:([0-9a-f]{8,64})")


class Latest(msgspec.Struct, frozen=True, tag="latest"):
    """The newest version."""

    def __str__(self) -> str:
        return "latest"


class AtVersion(msgspec.Struct, frozen=True, tag="version"):
    """The version with this number, from 1."""

    number: int

    def __str__(self) -> str:
        return f"v{self.number}"


class AtDigest(msgspec.Struct, frozen=True, tag="digest"):
    """The version whose BLAKE3 digest starts with these 8 to 64 hex digits."""

    prefix: str

    def __str__(self) -> str:
        return f"b3:{self.prefix}"


class AtAlias(msgspec.Struct, frozen=True, tag="alias"):
    """The version that the alias stands on, now or (`at`) at that time."""

    alias: str
    at: datetime | None = None

    def __str__(self) -> str:
        if self.at is None:
            return self.alias
        return f"{self.alias}~{iso(self.at)}"


Selector = Latest | AtVersion | AtDigest | AtAlias


def parse_selector(text: str) -> Selector:
    """Read what stands behind the `@`; raise BadInput with the forms that are allowed."""
    if text == "latest":
        return Latest()
    if match := _VERSION.fullmatch(text):
        return AtVersion(int(match[1]))
    if match := _DIGEST.fullmatch(text):
        return AtDigest(match[1])
    alias, tilde, moment = text.partition("~")
    if ALIAS.fullmatch(alias) and not _RESERVED.fullmatch(alias) and (moment or not tilde):
        return AtAlias(alias, parse_time(moment, "selector") if tilde else None)
    raise BadInput(
        f"{text!r} does not select a version.",
        where="selector",
        todo="Use an alias (production), a version (v7), a digest prefix (b3:9f2c1d07), "
        "an alias at a time (production~2026-05-03T12:00Z) or latest.",
    )


class Ref(msgspec.Struct, frozen=True):
    """A named asset and which of its versions is meant. `kind` may be empty where the context knows it."""

    kind: str
    name: str
    selector: Selector = Latest()

    @classmethod
    def parse(cls, text: str, *, kind: str = "") -> "Ref":
        """Read `kind:name@selector`; `kind` is the default when the text has none. Raise BadInput otherwise."""
        text = text.strip()
        head, at, tail = text.partition("@")
        before, colon, after = head.partition(":")
        found_kind, name = (before, after) if colon else (kind, head)
        if not found_kind:
            raise BadInput(
                f"{text!r} does not say its kind.", where="ref", todo="Write it like model:flights/delay@production."
            )
        if not KIND.fullmatch(found_kind):
            raise BadInput(f"{found_kind!r} is not a kind of asset.", where="ref", todo="Kinds are lower-case words.")
        check_name(name)
        return cls(found_kind, name, parse_selector(tail) if at else Latest())

    @property
    def asset(self) -> str:
        """The reference without its selector: `model:flights/delay`."""
        return f"{self.kind}:{self.name}"

    def __str__(self) -> str:
        return self.asset if isinstance(self.selector, Latest) else f"{self.asset}@{self.selector}"


class ResolvedRef(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one version: what a Ref was resolved to, and what is recorded of it."""

    kind: str
    name: str
    number: int
    """The version number, from 1."""
    digest: str
    """`b3:` and 64 hex digits: the BLAKE3 of the version's manifest."""

    @property
    def asset(self) -> str:
        """The reference without its version: `model:flights/delay`."""
        return f"{self.kind}:{self.name}"

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}@v{self.number}"


def check_name(name: str) -> str:
    """Return an asset name that fits the grammar; raise BadInput otherwise."""
    if not NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} is not a name.",
            where="name",
            todo="Use lower-case letters, digits, '.', '_' and '-', in up to eight parts joined by '/', "
            "each starting with a letter or digit and at most 64 long.",
        )
    return name


def check_alias(alias: str) -> str:
    """Return an alias that can be set; raise BadInput for `latest`, version-like and malformed ones."""
    if _RESERVED.fullmatch(alias) or not ALIAS.fullmatch(alias):
        raise BadInput(
            f"{alias!r} cannot be an alias.",
            where="alias",
            todo="Use a word of letters, digits, '_', '-' and '.', such as production; latest and v1, v2 … have a meaning already.",
        )
    return alias


def check_slug(slug: str, where: str = "slug") -> str:
    """Return a slug (project, endpoint, monitor); raise BadInput otherwise."""
    if not SLUG.fullmatch(slug):
        raise BadInput(
            f"{slug!r} is not a slug.", where=where, todo="Use lower-case letters, digits and '-', at most 63 long."
        )
    return slug
