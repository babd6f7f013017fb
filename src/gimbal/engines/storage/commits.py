"""Whether anything was committed to a SQLite file, asked in microseconds.

Who waits for a change looks here first, and reads only where there may be one: an idle installation costs next to nothing.
"""

import sqlite3


class Commits:
    """Tells commits to a file apart, by all processes; of one thread."""

    def __init__(self, path: str) -> None:
        """Nothing is opened before the first question."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def seen(self) -> int | None:
        """Return a number that is another one after each commit; None where it cannot be told, and somebody has to look.

        Source: SQLite's `PRAGMA data_version`, asked by a connection that writes nothing itself.
        """
        try:
            if self._connection is None:
                # The event loop's thread asks, also where another one has made the catalog. It never waits.
                self._connection = sqlite3.connect(
                    f"file:{self._path}?mode=ro", uri=True, timeout=0, check_same_thread=False
                )
            return self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            self.close()
            return None

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
