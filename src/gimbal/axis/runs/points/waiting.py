"""Records that were put down and are not stored yet: by them the newest points are known before the stores have them."""

from collections import deque
from collections.abc import Collection

import msgspec

from gimbal.axis.runs.desk import RunRow

_MOST = 32 * 1024 * 1024
"""Bytes; when more waits than that, the oldest of it must be waited for."""


class Waiting(msgspec.Struct):
    """One record."""

    number: int
    project: str
    run_id: str
    raw: bytes
    shown: bool = False
    """Whether its newest points are in the catalog already."""


class Underway:
    """The records of one process that wait for the stores, in their order."""

    def __init__(self) -> None:
        self._records: deque[Waiting] = deque()
        self._bytes = 0
        self.lost = 0
        """Number of the last record that is not known here because there was too much; 0 without one."""

    def add(self, number: int, run: RunRow, raw: bytes) -> None:
        """Take one more."""
        self._records.append(Waiting(number, run.project, run.id, raw))
        self._bytes += len(raw)
        while self._bytes > _MOST:
            self.lost = self._records[0].number
            self._drop()

    def stored(self, upto: int) -> None:
        """Forget those up to a number: the stores have them."""
        while self._records and self._records[0].number <= upto:
            self._drop()

    def of(self, project: str, run_ids: Collection[str] | None, upto: int) -> list[Waiting]:
        """Return those of a project, or of some of its runs, up to a number, of which the catalog knows nothing yet."""
        return [
            one
            for one in self._records
            if one.number <= upto
            and not one.shown
            and one.project == project
            and (run_ids is None or one.run_id in run_ids)
        ]

    def _drop(self) -> None:
        self._bytes -= len(self._records.popleft().raw)
