"""What the processes say: text for people, or one JSON object per line for machines."""

import logging
import sys
import time
from datetime import UTC, datetime

import msgspec

from gimbal.kernel.settings import LogSettings

_EXTRA_SKIP = frozenset(vars(logging.makeLogRecord({})))


class JsonFormatter(logging.Formatter):
    """One object per line: at, level, logger, message, process, and what `extra=` added."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        row = {k: str(v) for k, v in vars(record).items() if k not in _EXTRA_SKIP and k != "message"}
        row |= {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(row).decode()
        except UnicodeEncodeError:  # half of a surrogate pair, from a file name or a broken client
            clean = {k: v.encode(errors="backslashreplace").decode() for k, v in row.items()}
            return msgspec.json.encode(clean).decode()


def set_up(settings: LogSettings, process: str) -> None:
    """Send all logging of this process to standard error in the form that the settings ask for."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        handler.setFormatter(JsonFormatter(process))
    else:
        lines = logging.Formatter(f"%(asctime)s {process:<7} %(levelname)-7s %(message)s", "%H:%M:%SZ")
        lines.converter = time.gmtime
        handler.setFormatter(lines)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These tell each request or statement; our own metrics do.
    for name in ("httpx", "uvicorn", "alembic", "dbos", "aiosqlite", "urllib3", "clickhouse_connect"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
