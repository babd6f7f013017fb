"""Run the bars: `python -m bench` all that need nothing but this machine, `python -m bench start spans` those named.

Some run only when they are named: `ingest`, `beside`, `runs_write`, `runs_search` and `runs_history` measure mlflow, the first
two arize-phoenix as well, in the same run, `http_clients` aiohttp and pyreqwest, `gateway` litellm, Portkey's gateway, SGLang's
router and nginx, and install them into `.bench/` at first, for which they need a network; `artifacts` writes some 30 GB, `soak`
takes ten minutes, and `growth` about as long.
"""

import os
import platform
import sys

from bench import (
    artifacts,
    beside,
    evals,
    gateway,
    gateway_delays,
    growth,
    http_clients,
    ingest,
    latency,
    log_call,
    memory,
    metrics,
    pages,
    prompts,
    queries,
    redaction,
    runs_growth,
    runs_history,
    runs_import,
    runs_search,
    runs_write,
    soak,
    spans,
    start,
    studies,
    trace_page,
)

BARS = {
    "start": start,
    "spans": spans,
    "gateway_delays": gateway_delays,
    "latency": latency,
    "log_call": log_call,
    "memory": memory,
    "metrics": metrics,
    "pages": pages,
    "queries": queries,
    "redaction": redaction,
    "evals": evals,
    "prompts": prompts,
    "studies": studies,
    "trace_page": trace_page,
}
NAMED_ONLY = {
    "artifacts": artifacts,
    "beside": beside,
    "gateway": gateway,
    "growth": growth,
    "http_clients": http_clients,
    "ingest": ingest,
    "runs_growth": runs_growth,
    "runs_history": runs_history,
    "runs_import": runs_import,
    "runs_search": runs_search,
    "runs_write": runs_write,
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
