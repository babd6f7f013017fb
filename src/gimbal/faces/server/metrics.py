"""Counters of the server in Prometheus' text form; each room's own counters are added by the wiring.

Source of the form: Prometheus exposition format 0.0.4.
"""

import bisect
from collections.abc import Callable, Iterable

import msgspec

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a metric."""

    name: str
    """Full Prometheus name, unit last: `gimbal_writer_queue_rows`."""
    value: float
    help: str
    """What it counts, in a sentence."""
    kind: str = "gauge"
    """`gauge` or `counter`."""
    labels: dict[str, str] = {}


Source = Callable[[], Iterable[Sample]]


class RequestMeter:
    """Counts requests and their durations by route label."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, list[float]] = {}

    def observe(self, label: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (label, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        row = self._durations.setdefault(label, [0.0] * (len(_BUCKETS) + 3))
        row[bisect.bisect_left(_BUCKETS, seconds)] += 1
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
            for bound, count in zip((*map(str, _BUCKETS), "+Inf"), row, strict=False):
                below += count
                lines.append(f"{name}_bucket{_tags({'route': label, 'le': bound})} {below:g}")
            lines.append(f"{name}_sum{_tags({'route': label})} {row[-2]:.6f}")
            lines.append(f"{name}_count{_tags({'route': label})} {row[-1]:g}")
        return "\n".join(lines) + "\n"


def render_samples(samples: Iterable[Sample]) -> str:
    """Return samples in text form, grouped by name with HELP and TYPE once."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.name, []).append(sample)
    lines: list[str] = []
    for name, group in sorted(groups.items()):
        lines += [f"# HELP {name} {group[0].help}", f"# TYPE {name} {group[0].kind}"]
        lines += [f"{name}{_tags(s.labels)} {s.value:g}" for s in group]
    return "\n".join(lines) + "\n" if lines else ""


def _tags(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{k}="{_escape(v)}"' for k, v in labels.items())
    return "{" + pairs + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
