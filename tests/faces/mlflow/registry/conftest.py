"""Where the registry's scripts are."""

from pathlib import Path

SCRIPTS = Path(__file__).with_name("scripts")
