"""Named registries and entry points: how a kind of asset, scorer, provider or detector is added without a core change."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from gimbal.kernel.errors import ConfigurationError, NotFound

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one sort by name; packages add theirs by the entry point group `gimbal.<sort>`."""

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self._words = sort.replace("_", " ")
        self._things: dict[str, T] = {}
        self._loaded = False

    def add(self, name: str, thing: T) -> T:
        """Register `thing`; raise ConfigurationError when another thing has the name."""
        if self._things.get(name, thing) is not thing:
            raise ConfigurationError(f"Two {self._words} are called {name!r}.", todo="Rename or uninstall one of them.")
        self._things[name] = thing
        return thing

    def get(self, name: str) -> T:
        """Return the thing called `name`; raise NotFound that lists what there is."""
        if name not in self._things:
            self._load()
        try:
            return self._things[name]
        except KeyError:
            raise NotFound(
                f"There is no {name!r} among the {self._words}.", todo=f"There are: {', '.join(sorted(self._things))}."
            ) from None

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._things))

    def _load(self) -> None:
        if self._loaded:
            return
        for point in entry_points(group=f"gimbal.{self.sort}"):
            try:
                thing = point.load()
            except Exception as problem:  # whatever a package of somebody else does while it is imported
                raise ConfigurationError(
                    f"{point.value}, one of the {self._words}, cannot be loaded: {type(problem).__name__}: {problem}.",
                    where=point.dist.name if point.dist else point.value,
                    todo="Mend or uninstall that package, then start again.",
                ) from problem
            self.add(point.name, thing)
        self._loaded = True
