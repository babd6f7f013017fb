"""Files as other tools write them, made for each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gimbal.axis.evals.formats import Imported, ReadOptions, columns_of, read_suite

Write = Callable[[str, str | bytes], Path]
Read = Callable[..., Imported]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's folder; return its path."""

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def read(write: Write) -> Read:
    """Write one file and read it as a suite."""

    def found(name: str, content: str | bytes, *columns: str, format: str = "") -> Imported:  # noqa: A002 - the word for it
        return read_suite([write(name, content)], format=format, options=ReadOptions(columns=columns_of(list(columns))))

    return found
