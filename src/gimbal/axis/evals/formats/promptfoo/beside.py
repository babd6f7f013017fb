"""Files that a config names: only such as lie in its folder or below, wherever links lead."""

from pathlib import Path

from gimbal.axis.evals.formats.files import MIB, whole
from gimbal.kernel.errors import BadInput

PREFIX = "file://"
_MOST_TEXT = 8 * MIB
_MOST_FILES = 10_000
_PATTERN = frozenset("*?[")


class Beside:
    """The folder of a config."""

    def __init__(self, config: Path) -> None:
        self._folder = config.parent.resolve()
        self._shown = config.parent

    def find(self, name: str, where: str) -> list[Path]:
        """Return the files that a name or a pattern means, in order; raise BadInput for one elsewhere, or for none."""
        bare = name.removeprefix(PREFIX).removeprefix("./")
        if not bare or "\x00" in bare:
            raise BadInput("A file has no name.", where=where, todo="Name it.")
        if Path(bare).is_absolute() or ".." in Path(bare).parts:
            raise self._elsewhere(name, where)
        try:
            found = [self._folder / bare]
            if set(bare) & _PATTERN and not found[0].exists():
                found = sorted(path for path in self._folder.glob(bare) if path.is_file())
        except (OSError, ValueError, NotImplementedError):
            raise BadInput(f"{bare[:60]!r} is no name of a file.", where=where, todo="Name another.") from None
        if not found or len(found) > _MOST_FILES:
            count = "no file" if not found else f"more than {_MOST_FILES:,} files"
            raise BadInput(f"{name!r} means {count}.", where=where, todo="Name others.")
        for path in found:
            try:
                real = path.resolve(strict=True)
            except (OSError, RuntimeError):
                raise BadInput(
                    f"There is no file {name!r} beside the config.", where=where, todo="Put it there, or name another."
                ) from None
            if not real.is_relative_to(self._folder):
                raise self._elsewhere(name, where)
            if not real.is_file():
                raise BadInput(f"{name!r} is no file.", where=where, todo="Name a file.")
        return [self._shown / path.relative_to(self._folder) for path in found]

    def text(self, name: str, where: str) -> str:
        """Return the text of one file; raise BadInput."""
        return whole(self.find(name, where)[0], _MOST_TEXT)

    def has(self, name: str) -> bool:
        """Tell whether a plain name is that of a file here."""
        try:
            return bool(self.find(name, ""))
        except (BadInput, OSError, ValueError):
            return False

    def _elsewhere(self, name: str, where: str) -> BadInput:
        return BadInput(
            f"{name!r} lies outside of the config's folder, where nothing is read.",
            where=where,
            todo="Copy the file beside the config.",
        )
