"""Searches of the top hundred by MLflow's own client: at 10,000 runs beside MLflow's server, at 100,000 by ours alone."""

from collections.abc import Iterator

from bench.bar import Figure
from bench.peers import PeerMissing
from bench.runs_peer import asked, fill_ours, fill_theirs, ours, scaled, theirs

_KINDS = {"few": "few pass", "many": "many pass", "ordered": "by its order"}


def figures() -> Iterator[Figure]:
    """Measure; the client's own work on a hundred runs, some milliseconds, is in all of them."""
    small, large, times = scaled(10_000, 500), scaled(100_000, 1_000), scaled(60, 10)
    with ours() as (url, catalog):
        found = asked("search", url, times, fill_ours(catalog, small))
        far = asked("search", url, times, fill_ours(catalog, large))
    for kind, what in _KINDS.items():
        yield Figure(f"runs: search of {large:,}, {what}, p95", far[f"{kind} p95"], "ms", 50, "bar")
    try:
        with theirs() as (url, database):
            beside = asked("search", url, max(5, times // 10), fill_theirs(database, small))
    except PeerMissing as problem:
        print(f"      mlflow cannot be had here: {problem}")
        return
    for kind, what in _KINDS.items():
        told = f"40× mlflow's {beside[kind]:.0f} ms against {found[kind]:.1f}"
        yield Figure(
            f"runs: search of {small:,}, {what}, times quicker",
            beside[kind] / found[kind],
            "×",
            40,
            told,
            lower_is_better=False,
        )
