"""Finds what holds for a model on a day: prices of a book, or overrides of one layer; by name, alias or pattern."""

import fnmatch
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Generic, Protocol, TypeVar

# Providers append the day of a snapshot to the name: gpt-4o-2024-08-06, claude-sonnet-4-20250514.
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
# Names come from whoever sends spans: what is remembered of them is bounded.
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 256


class Dated(Protocol):
    """What holds for the models of a name from a day on."""

    @property
    def provider(self) -> str:
        """Whose model, in small letters."""
        ...

    @property
    def model(self) -> str:
        """Name in small letters, or a pattern with `*`."""
        ...

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names."""
        ...

    @property
    def tier(self) -> str | None:
        """How the call was served; None: however."""
        ...

    @property
    def valid_from(self) -> date:
        """First day."""
        ...

    @property
    def valid_until(self) -> date | None:
        """First day on which it no longer holds; None: until the next one begins."""
        ...


E = TypeVar("E", bound=Dated)


class Lookup(Generic[E]):
    """Entries by provider and model, each from a day on.

    A model is looked for by its exact name, then without the date of a snapshot, each among names and then among
    aliases, and at last by pattern, of which the one with most characters of its own wins.
    """

    def __init__(self, entries: Iterable[E]) -> None:
        self._by_model: dict[tuple[str, str], list[E]] = {}
        self._by_alias: dict[tuple[str, str], list[E]] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], list[E]]]] = {}
        self._remembered: dict[tuple[str, str], list[list[E]]] = {}
        for entry in sorted(entries, key=lambda e: e.valid_from, reverse=True):
            self._by_model.setdefault((entry.provider, entry.model), []).append(entry)
            for alias in entry.aliases:
                self._by_alias.setdefault((entry.provider, alias), []).append(entry)
        for (provider, model), listed in sorted(self._by_model.items(), key=lambda entry: _own(entry[0][1])):
            if "*" in model:
                self._patterns.setdefault(provider, []).append((compiled(model), listed))

    def all(self) -> list[E]:
        """Return every entry by provider and model, newest first."""
        return [entry for key in sorted(self._by_model) for entry in self._by_model[key]]

    def providers(self) -> set[str]:
        """Return the providers that have entries."""
        return {provider for provider, _ in self._by_model}

    def find(self, provider: str, model: str, at: datetime, tier: str = "standard") -> E | None:
        """Return the entry in force at a moment, also for a dated snapshot of the model; None when there is none."""
        found = self._remembered.get((provider, model))
        if found is None:
            found = self._remember(provider, model)
        day = (at if at.tzinfo is UTC else at.astimezone(UTC)).date()
        for listed in found:
            for entry in listed:
                if entry.valid_from <= day and (entry.tier == tier or entry.tier is None):
                    if entry.valid_until is None or day < entry.valid_until:
                        return entry
                    break  # what came before it had ended, too
        return None

    def _remember(self, provider: str, model: str) -> list[list[E]]:
        """Return the lists of entries that a name may mean, the nearest first."""
        house, name = provider.lower(), model.lower()
        found = [
            table[house, called]
            for called in dict.fromkeys((name, _DATE.sub("", name)))
            for table in (self._by_model, self._by_alias)
            if (house, called) in table and "*" not in called
        ]
        found += [listed for pattern, listed in self._patterns.get(house, ()) if pattern.match(name)]
        if len(provider) + len(model) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[provider, model] = found
        return found


def named_by(entry: Dated, model: str) -> str:
    """Return in which way an entry means a model: `name`, `alias` or `pattern`, for whoever asks why."""
    called = {model.lower(), _DATE.sub("", model.lower())}
    if "*" not in entry.model and entry.model in called:
        return "name"
    return "alias" if called & set(entry.aliases) else "pattern"


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern in which only `*` has a meaning; atomic parts, so that no name makes it run long."""
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]").replace("?", "[?]")))


def _own(pattern: str) -> tuple[int, str]:
    return -len(pattern.replace("*", "")), pattern
