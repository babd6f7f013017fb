"""Counters of the server in Prometheus' text form; what the rooms count comes from `kernel/counters`.

Source of the form: Prometheus exposition format 0.0.4.
"""

import bisect
from collections.abc import Iterable

from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Services
from gimbal.kernel.counters import BUCKETS, Counters, Sample
from gimbal.kernel.events import EventBus

# A label must not take whatever somebody sends.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMeter:
    """Counts requests and their durations by route label."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, list[float]] = {}

    def observe(self, label: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (label, method if method in _METHODS else "other", status)
        self._requests[key] = self._requests.get(key, 0) + 1
        row = self._durations.get(label)
        if row is None:
            row = self._durations[label] = [0.0] * (len(BUCKETS) + 3)
        row[bisect.bisect_left(BUCKETS, seconds)] += 1
        row[-2] += seconds
        row[-1] += 1

    def render(self) -> str:
        """Return the two request metrics in text form."""
        lines = ["# HELP gimbal_http_requests_total Requests answered.", "# TYPE gimbal_http_requests_total counter"]
        for (label, method, status), count in sorted(self._requests.items()):
            tags = _tags({"route": label, "method": method, "status": str(status)})
            lines.append(f"gimbal_http_requests_total{tags} {count}")
        name = "gimbal_http_request_duration_seconds"
        lines += [f"# HELP {name} Time to answer.", f"# TYPE {name} histogram"]
        for label, row in sorted(self._durations.items()):
            below = 0.0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), row, strict=False):
                below += count
                lines.append(f"{name}_bucket{_tags({'route': label, 'le': bound})} {_number(below)}")
            lines.append(f"{name}_sum{_tags({'route': label})} {_number(row[-2])}")
            lines.append(f"{name}_count{_tags({'route': label})} {_number(row[-1])}")
        return "\n".join(lines) + "\n"


def render_samples(samples: Iterable[Sample]) -> str:
    """Return samples in text form, grouped by name with HELP and TYPE once."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.family or sample.name, []).append(sample)
    lines: list[str] = []
    for name, group in sorted(groups.items()):
        lines += [f"# HELP {name} {_escape_help(group[0].help)}", f"# TYPE {name} {group[0].kind}"]
        lines += [f"{s.name}{_tags(s.labels)} {_number(s.value)}" for s in group]
    return "\n".join(lines) + "\n" if lines else ""


def _tags(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{k}="{_escape(v)}"' for k, v in labels.items())
    return "{" + pairs + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    """Return a value with all its digits: a counter that is rounded stands still."""
    return str(int(value)) if value == value // 1 else repr(value)


def watch_services(services: Services) -> Counters:
    """Make the counters of this process and let them show the writer's and the event bus's figures."""
    counters = Counters()
    counters.watch(lambda: _writer_samples(services))
    services.register(Counters, counters)
    return counters


def _writer_samples(services: Services) -> list[Sample]:
    state = services.get(Writer).state()
    rows = [
        ("gimbal_writer_queue_rows", state.queued_rows, "Rows that wait to be committed.", "gauge"),
        ("gimbal_writer_queue_bytes", state.queued_bytes, "Bytes that wait to be committed.", "gauge"),
        ("gimbal_writer_committed_rows_total", state.committed_rows, "Rows on disk.", "counter"),
        ("gimbal_writer_commits_total", state.committed_groups, "Group commits.", "counter"),
        ("gimbal_writer_failed_rows_total", state.failed_rows, "Rows whose senders were told they failed.", "counter"),
        ("gimbal_writer_refused_rows_total", state.refused_rows, "Rows refused with 429.", "counter"),
        ("gimbal_writer_lag_seconds", state.oldest_wait_ms / 1000, "Age of the oldest waiting batch.", "gauge"),
        ("gimbal_event_failures_total", services.get(EventBus).failures, "Event handlers that failed.", "counter"),
    ]
    return [Sample(name=n, value=float(v), help=h, kind=k) for n, v, h, k in rows]
