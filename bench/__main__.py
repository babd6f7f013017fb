"""Run every bar, or those that are named: `python -m bench start spans`."""

import os
import platform
import sys

from bench import metrics, pages, spans, start

BARS = {"start": start, "spans": spans, "metrics": metrics, "pages": pages}


def main() -> None:
    """Measure and print; a missed bar is told, not failed: machines differ."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in sys.argv[1:] or BARS:
        for figure in BARS[name].figures():
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
