"""The kinds of providers, read from `kinds.toml`: addresses, key variables, wires, prices, quirks. Pure data and rules."""

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gimbal.kernel.errors import ConfigurationError

_FILE = Path(__file__).with_name("kinds.toml")


class Quirk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a provider's understanding of a wire differs from the wire; what the caller meant stays the same."""

    reason: str
    """Why, for whoever asks what became of a field."""
    wires: tuple[str, ...] = ("openai.chat",)
    models: str = ""
    """Pattern of the models that it is about; empty means all."""
    rename: dict[str, str] = {}
    """Fields that have another name there. Where both are given, the one of its own name counts."""
    drop: tuple[str, ...] = ()
    """Fields that it refuses and that change no answer: hints, and what we added ourselves."""
    default: dict[str, Any] = {}
    """Fields that it wants and that need not be given."""


class Only(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that answer by one wire only."""

    reason: str
    models: str
    wire: str


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all providers of one kind have in common."""

    name: str
    title: str
    """As its makers write it."""
    by: str = "compatible"
    """Which of our providers speaks with it: the name of a file in this folder."""
    base_url: str = ""
    """Its address; empty where everybody has their own."""
    key_env: tuple[str, ...] = ()
    """Variables that usually hold its key; the first one that is set counts."""
    url_env: str = ""
    """Variable that usually holds another address."""
    version_env: str = ""
    """Variable that usually holds the version of its API."""
    region_env: tuple[str, ...] = ()
    """Variables that usually hold its region; the first one that is set counts."""
    account_env: str = ""
    """Variable that usually holds the project of Google Cloud."""
    found: bool = False
    """Whether a key in the environment is enough for it to be there."""
    needs_key: bool = True
    """Whether its makers answer nobody without one."""
    pricing: str = ""
    """Its name in the price book."""
    claims: tuple[str, ...] = ()
    """Beginnings of model names that are its own when they come without a provider's name."""
    wires: dict[str, str] = {}
    """Path below the address by wire that it speaks; the first one is the one that other wires are turned into."""
    hosts: tuple[str, ...] = ()
    """Patterns of host names that are its makers' own, besides the host of its address."""
    passes: tuple[str, ...] = ()
    """Headers of the caller that go on to it besides those of its wires."""
    through: tuple[str, ...] = ()
    """First parts of paths that are passed through as they are."""
    bad_key: tuple[str, ...] = ()
    """Words by which an answer says that the key is wrong, where its status says something else."""
    quirk: tuple[Quirk, ...] = ()
    only: tuple[Only, ...] = ()

    def owns(self, url: str) -> bool:
        """Tell whether an address is its makers' own, so that everybody may use it and its prices are known."""
        parts = urlsplit(url)
        try:
            usual = parts.port in {None, 443}
        except ValueError:
            return False
        if parts.scheme != "https" or not usual or not parts.hostname:
            return False
        host, own = parts.hostname, urlsplit(self.base_url).hostname
        return host == own or any(re.fullmatch(pattern, host) for pattern in self.hosts)


class Found(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    kind: tuple[Kind, ...]


@functools.cache
def kinds() -> Mapping[str, Kind]:
    """Return every kind by its name, in the order of the file."""
    return {kind.name: kind for kind in msgspec.convert(tomllib.loads(_FILE.read_text("utf-8")), Found).kind}


def kind_of(name: str, where: str = "kind") -> Kind:
    """Return a kind; raise ConfigurationError for a name that is none."""
    found = kinds().get(name)
    if found is None:
        raise ConfigurationError(
            f"There is no kind of provider {name!r:.80}.", where=where, todo=f"There are: {', '.join(kinds())}."
        )
    return found


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """The quirks that count for one model over one wire, put together."""

    rename: dict[str, str] = {}
    drop: frozenset[str] = frozenset()
    default: dict[str, Any] = {}
    touched: frozenset[str] = frozenset()
    """Fields whose presence means that there is something to do."""

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request's fields as the provider understands them."""
        done: dict[str, Any] = {}
        for field, value in body.items():
            if field in self.drop:
                continue
            name = self.rename.get(field, field)
            if name == field or name not in body:
                done[name] = value
        return {**self.default, **done}


def quirks_of(kind: Kind, wire: str, model: str) -> Quirks | None:
    """Return what is particular to a model over a wire; None where nothing is."""
    rename: dict[str, str] = {}
    drop: set[str] = set()
    default: dict[str, Any] = {}
    for quirk in kind.quirk:
        if wire in quirk.wires and _fits(quirk.models, model):
            rename |= quirk.rename
            drop |= set(quirk.drop)
            default |= quirk.default
    if not (rename or drop or default):
        return None
    return Quirks(rename=rename, drop=frozenset(drop), default=default, touched=frozenset(drop | rename.keys()))


def only_wire(kind: Kind, model: str) -> str:
    """Return the one wire by which a model answers; empty where the provider's choice holds."""
    return next((one.wire for one in kind.only if _fits(one.models, model)), "")


def _fits(pattern: str, model: str) -> bool:
    return not pattern or re.fullmatch(pattern, model) is not None
