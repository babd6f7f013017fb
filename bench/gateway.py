"""The gateway beside other proxies, each on one core with an upstream that answers at once: requests per second and CPU.

Everything is on in Gimbal: a key is checked, the route resolved, the breaker asked, the price reckoned, the call attributed
and its trace recorded durably. nginx is what a proxy can do at all, `thin` what our HTTP server and client can. On a virtual machine a
good part of all of it is waking up the other core; `gateway.wake_us = 0` leaves that out, for whoever runs meanwhile, so the router in
Rust is asked beside it then.
"""

import contextlib
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import httpx

from bench import programs, proxies
from bench.bar import Figure
from bench.peers import PeerMissing
from bench.proxies import OTHER_CORE, PATH, Proxy
from gimbal.faces.server.wakefulness import refusal

CONCURRENCIES, ROUNDS, SECONDS = (1, 16, 64), 3, 4
_ENOUGH, _PERCENT = 5_000, 10
_MANY, _FEW = 100_000, 10_000
_ROUTER = "sglang-router"
_PEERS: dict[str, Callable[[int], AbstractContextManager[Proxy]]] = {
    "litellm": proxies.litellm, "portkey": proxies.portkey, _ROUTER: proxies.sglang_router,
}  # fmt: skip
_BARS = {"litellm": 50.0, "portkey": 5.0, _ROUTER: 0.7}
_LIMITS: dict[str, Callable[[int], AbstractContextManager[Proxy]]] = {
    "nginx": proxies.nginx_proxy,
    "thin": proxies.thin,
}
_OURS = "gimbal"
_FIRST_S = 5
_STAGE, _TRACES = "gimbal.stage.", 100
_SCRIPT = """
wrk.method = "POST"
wrk.body = [[{"model":"%s","messages":[{"role":"system","content":"You answer in one sentence."},{"role":"user","content":"What keeps both rings level?"}],"temperature":0.2}]]
%s
done = function(summary, latency)
  io.write(string.format("figures %%d %%f %%d %%f %%f\\n", summary.requests, summary.duration / 1e6,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


class Load(NamedTuple):
    """What a proxy did under load."""

    per_second: float
    cpu_us: float
    behind_us: float
    """CPU of the processes behind it: they store what was recorded."""
    p50_ms: float
    p99_ms: float


def figures() -> Iterator[Figure]:
    """Measure all by turns, so that each meets the same neighbours, and compare the medians."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(proxies.upstream())
        running = {_OURS: stack.enter_context(proxies.gimbal(target))}
        for name, start in {**_LIMITS, **_PEERS}.items():
            try:
                running[name] = stack.enter_context(start(target))
                # The first answer of some takes seconds, and counts for nothing.
                requests(running[name], 1, _FIRST_S)
                told = load(running[name], 1, 1)
                print(f"      {name} answers {told.per_second:,.0f} /s one at a time", flush=True)
            except PeerMissing as reason:
                running.pop(name, None)
                print(f"----  {name} cannot be had here: {reason}", flush=True)
        for concurrency in CONCURRENCIES:
            yield from _compared(_by_turns(running, concurrency), concurrency)
            if concurrency == 1:
                yield from _stages(running[_OURS])
    if not refusal():
        yield from _awake()
    yield from _memory()


def _awake() -> Iterator[Figure]:
    """Measure ourselves and the router in Rust where cores do not sleep."""
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(proxies.upstream())
        running = {_OURS: stack.enter_context(proxies.gimbal(target, wake_us=0))}
        with contextlib.suppress(PeerMissing):
            running[_ROUTER] = stack.enter_context(proxies.sglang_router(target))
        for concurrency in CONCURRENCIES:
            yield from _compared(_by_turns(running, concurrency), concurrency, ", gateway.wake_us = 0")


def _by_turns(running: dict[str, Proxy], concurrency: int) -> dict[str, Load]:
    seen: dict[str, list[Load]] = {name: [] for name in running}
    for _ in range(ROUNDS):
        for name, proxy in running.items():
            seen[name].append(load(proxy, concurrency, SECONDS))
    return {name: _median(loads) for name, loads in seen.items()}


def _compared(loads: dict[str, Load], concurrency: int, more: str = "") -> Iterator[Figure]:
    how, ours = f"{concurrency} at once{more}", loads.pop(_OURS)
    against = f"{_ENOUGH:,} /s"
    yield Figure(f"gateway, {how}", ours.per_second, "/s", _ENOUGH, against, lower_is_better=False)
    for name, theirs in loads.items():
        physical, times = name in _LIMITS, _BARS.get(name, 1.0)
        told = f"{name}'s {theirs.per_second:,.0f} /s"
        if physical:
            yield Figure("  of", ours.per_second, "/s", theirs.per_second, told, lower_is_better=False, physical=True)
        else:
            ratio = ours.per_second / theirs.per_second
            yield Figure(f"  times {told}", ratio, "×", times, f"{times:g} times", lower_is_better=False)
    for name, theirs in loads.items():
        told = f"{name}'s {theirs.cpu_us:,.0f} µs"
        yield Figure("  CPU a request", ours.cpu_us, "µs", theirs.cpu_us, told, physical=name in _LIMITS)
    told = f"that of the call ({ours.cpu_us:,.0f} µs)"
    yield Figure(
        "  CPU of other processes, to store its record", ours.behind_us, "µs", ours.cpu_us, told, physical=True
    )


def _stages(proxy: Proxy) -> Iterator[Figure]:
    """Yield what the stages of the newest calls took, and what all of them did with a provider that answers at once."""
    traces = f"{proxy.url}/api/v1/projects/default/traces"
    newest = httpx.get(traces, params={"limit": _TRACES}, timeout=30).raise_for_status().json()["items"]
    seen: dict[str, list[float]] = {}
    for row in newest:
        (span,) = httpx.get(f"{traces}/{row['trace_id']}", timeout=30).raise_for_status().json()["spans"]
        of_stages = {n: us for n, us in span["attributes"].items() if n.startswith(_STAGE)}
        of_stages[f"{_STAGE}provider_us"] -= span["attributes"]["gimbal.upstream_us"]
        for name, us in of_stages.items():
            seen.setdefault(name.removeprefix(_STAGE).removesuffix("_us"), []).append(us)
    medians = {name: statistics.median(values) for name, values in seen.items()}
    whole = sum(medians.values())
    for name, us in medians.items():
        yield Figure(f"  stage {name}, one at a time", us, "µs", whole, f"all stages ({whole:.0f} µs)", physical=True)


def _memory() -> Iterator[Figure]:
    with proxies.upstream() as target, proxies.gimbal(target) as proxy:
        few = many = 0
        sent = 0
        while sent < _MANY:
            sent += requests(proxy, 16, 1)
            if not few and sent >= _FEW:
                few = proxy.resident()
        many = proxy.resident()
        more = 100 * (many / few - 1)
        yield Figure(
            f"resident after {_MANY:,} calls, more than after {_FEW:,}", more, "%", _PERCENT, f"{_PERCENT} % of {few / 1e6:,.0f} MB"
        )  # fmt: skip


def load(proxy: Proxy, concurrency: int, seconds: float) -> Load:
    """Return what a proxy does for so many callers at once."""
    cpu, behind = proxy.cpu_s(), proxy.cpu_behind_s()
    done, took, p50, p99 = _wrk(proxy, concurrency, seconds)
    mine, theirs = (proxy.cpu_s() - cpu) / done * 1e6, (proxy.cpu_behind_s() - behind) / done * 1e6
    return Load(done / took, mine, theirs, p50, p99)


def requests(proxy: Proxy, concurrency: int, seconds: float) -> int:
    """Return how many requests a proxy answered."""
    return _wrk(proxy, concurrency, seconds)[0]


def _wrk(proxy: Proxy, concurrency: int, seconds: float) -> tuple[int, float, float, float]:
    program = programs.debian("wrk", "wrk", "libluajit-5.1-2")
    headers = {"content-type": "application/json", **proxy.headers}
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT % (proxy.model, lines))
        ended = subprocess.run(
            ["taskset", "-c", OTHER_CORE, program.path, "-t1", f"-c{concurrency}", f"-d{seconds}s", "--timeout", "20s",
             "-s", str(script), f"http://127.0.0.1:{proxy.port}{PATH}"],
            capture_output=True, text=True, timeout=seconds + 60, check=True, env=program.environment or None,
        ).stdout  # fmt: skip
    done, took, failed, p50, p99 = next(line for line in ended.splitlines() if line.startswith("figures ")).split()[1:]
    assert failed == "0", f"{failed} requests failed: {ended}\n{_one(proxy)}"
    return int(done), float(took), float(p50), float(p99)


def _one(proxy: Proxy) -> str:
    body = {"model": proxy.model, "messages": [{"role": "user", "content": "?"}]}
    reply = httpx.post(f"http://127.0.0.1:{proxy.port}{PATH}", json=body, headers=proxy.headers, timeout=20)
    return f"{reply.status_code}: {reply.text[:500]}"


def _median(loads: list[Load]) -> Load:
    return Load(*(statistics.median(values) for values in zip(*loads, strict=True)))
