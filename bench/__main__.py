"""Run the bars: `python -m bench` all that need nothing but this machine, `python -m bench start spans` those named.

Some run only when they are named: `ingest` and `beside` measure mlflow and arize-phoenix in the same run, `http_clients`
aiohttp and pyreqwest, `gateway` litellm, Portkey's gateway, SGLang's router and nginx, and install them into `.bench/` at
first, for which they need a network; `soak` takes ten minutes, and `growth` about as long.
"""

import os
import platform
import sys

from bench import (
    beside,
    gateway,
    gateway_delays,
    growth,
    http_clients,
    ingest,
    latency,
    memory,
    metrics,
    pages,
    queries,
    redaction,
    soak,
    spans,
    start,
    trace_page,
)

BARS = {
    "start": start,
    "spans": spans,
    "gateway_delays": gateway_delays,
    "latency": latency,
    "memory": memory,
    "metrics": metrics,
    "pages": pages,
    "queries": queries,
    "redaction": redaction,
    "trace_page": trace_page,
}
NAMED_ONLY = {
    "beside": beside,
    "gateway": gateway,
    "growth": growth,
    "http_clients": http_clients,
    "ingest": ingest,
    "soak": soak,
}


def main() -> None:
    """Measure and print; a missed bar is told, not failed: machines differ."""
    known = BARS | NAMED_ONLY
    if unknown := [name for name in sys.argv[1:] if name not in known]:
        told = "" if unknown[0] in {"-h", "--help"} else f"There is no bar {unknown[0]}.\n\n"
        sys.exit(f"{told}{__doc__}\nBars: {', '.join(known)}.")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in sys.argv[1:] or BARS:
        for figure in known[name].figures():
            print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
