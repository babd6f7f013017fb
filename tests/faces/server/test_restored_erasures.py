"""A restore is no server, and yet takes out again what every room keeps of erased people."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio
from gimbal.axis.retention.classes import CLASSES
from gimbal.axis.retention.kept import KEPT
from gimbal.faces.server import safekeeping
from gimbal.kernel.settings import load_settings

class Told:
    def __init__(self, *stores, **options): pass
    async def apply_again(self, noted):
        print(*CLASSES, *KEPT)
        return {}

safekeeping.Retaining = Told
settings = load_settings(environ={"GIMBAL_DATA_DIR": "."}).settings
asyncio.run(safekeeping._erase_again(settings, None, []))
"""


def test_a_restore_knows_what_all_rooms_keep(tmp_path: Path) -> None:
    """In a process that has loaded nothing else, as the command has it."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert {"eval_results", "predictions", "optimisations", "traces"} <= set(done.stdout.split())
