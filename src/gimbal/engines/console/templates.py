"""The Jinja environment: where templates come from, and what every template has at hand.

Templates of a capability live in `<capability>/templates/<capability>/`; they are found once, at start.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

import gimbal
from gimbal.engines.console import diff, filters, graph, svg
from gimbal.kernel.clock import Clock


def template_folders() -> list[Path]:
    """Return every `templates` folder of the package: `<ring>/<capability>/templates`."""
    root = Path(gimbal.__file__).parent
    return sorted(path for path in root.glob("*/*/templates") if path.is_dir())


def make_environment(folders: list[Path], clock: Clock, globals_: Mapping[str, Any]) -> jinja2.Environment:
    """Return an environment that escapes everything and refuses undefined names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([str(folder) for folder in folders]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=1000,
    )
    environment.filters.update(
        number=filters.number,
        compact=filters.compact,
        percent=filters.percent,
        money=filters.money,
        interval=filters.interval,
        duration=filters.duration,
        bytes=filters.size,
        short_id=filters.short_id,
        json=filters.pretty_json,
        time=filters.time,
        ago=filters.make_ago(clock),
        day=filters.day,
        excerpt=filters.excerpt,
        codes=filters.codes,
    )
    at_hand: dict[str, Any] = {
        "sparkline": svg.sparkline,
        "waterfall_bar": svg.waterfall_bar,
        "waterfall_axis": svg.waterfall_axis,
        "lineage_svg": graph.render,
        "diff_lines": diff.lines,
        **globals_,
    }
    environment.globals.update(at_hand)
    return environment
