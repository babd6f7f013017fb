"""The embedded column engine, which only a process that opens it loads: the library takes a quarter of a gigabyte."""

import os
from pathlib import Path
from typing import Any


def connected(folder: Path | str) -> Any:
    """Return a handle of its own on the engine of this process at `folder`; it is opened with the first one."""
    import chdb

    return chdb.connect(os.path.realpath(folder))
