"""Which experiments were asked for by name."""

from collections.abc import Collection

from gimbal.kernel.errors import BadInput

_MOST_SHOWN = 20


class Chosen:
    """The experiments of a source that shall come: all of them where none was named."""

    def __init__(self, wanted: Collection[str] = ()) -> None:
        self.all = not wanted
        self._wanted = set(wanted)
        self._missing = set(wanted)
        self._there: set[str] = set()

    def takes(self, *names: str) -> bool:
        """Tell whether an experiment shall come; the first of its names is the one that it has here."""
        self._there.add(names[0])
        self._missing.difference_update(names)
        return self.all or not self._wanted.isdisjoint(names)

    def check(self) -> None:
        """Raise BadInput for a name that no experiment had, once all have been asked about."""
        if not self._missing:
            return
        there = sorted(self._there)
        more = f" and {len(there) - _MOST_SHOWN:,} more" if len(there) > _MOST_SHOWN else ""
        raise BadInput(
            f"There is no experiment {', '.join(map(repr, sorted(self._missing)))} in the source.",
            where="experiment",
            todo=f"Name one of: {', '.join(there[:_MOST_SHOWN])}{more}." if there else "It has no experiment at all.",
        )
