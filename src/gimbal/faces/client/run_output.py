"""What a program writes to its output while a run goes on, kept as the file `output.log` of the run.

Only what goes through `sys.stdout` and `sys.stderr` is seen, which is what Python writes; it goes where it went before.
"""

import contextlib
import sys
import threading
from typing import Any, TextIO

from gimbal.faces.client.runs import ActiveRun
from gimbal.kernel.errors import GimbalError

_PATH = "output.log"
_MOST = 2**20
_EVERY_S = 30.0


class _Tee:
    """A stream that also tells a capture what it is given; in everything else it is the stream."""

    def __init__(self, stream: TextIO, told: "Capture") -> None:
        self._stream = stream
        self._told = told

    def write(self, words: str) -> int:
        self._told.hear(words)
        return self._stream.write(words)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Capture:
    """The output of a program, its beginning and its end when it is long."""

    def __init__(self, run: ActiveRun) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._head: list[str] = []
        self._tail: list[str] = []
        self._size = self._tail_size = self._left_out = 0
        self._changed = False
        self._over = threading.Event()
        self._tees = _Tee(sys.stdout, self), _Tee(sys.stderr, self)
        self._before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self._tees  # type: ignore[assignment] - it is a stream in all that matters
        run.before_end(self.stop)
        threading.Thread(target=self._store_now_and_then, name="gimbal-output", daemon=True).start()

    def hear(self, words: str) -> None:
        """Take note of what is written."""
        with self._lock:
            self._changed = True
            if self._size < _MOST // 2:
                self._head.append(words)
                self._size += len(words)
                return
            self._tail.append(words)
            self._tail_size += len(words)
            while self._tail_size > _MOST // 2 and len(self._tail) > 1:
                gone = len(self._tail.pop(0))
                self._tail_size -= gone
                self._left_out += gone

    def stop(self) -> None:
        """Put the streams back and store what was written."""
        self._over.set()
        # One that somebody else has wrapped meanwhile stays as it is; it goes on to tell us, which does no harm.
        if sys.stdout is self._tees[0]:
            sys.stdout = self._before[0]
        if sys.stderr is self._tees[1]:
            sys.stderr = self._before[1]
        self._store()

    def _store_now_and_then(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._store()

    def _store(self) -> None:
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            gap = f"\n… {self._left_out:,} characters are left out …\n" if self._left_out else ""
            words = "".join([*self._head, gap, *self._tail])
        with contextlib.suppress(GimbalError):
            self._run.put_later(_PATH, words.encode("utf-8", "backslashreplace"))
