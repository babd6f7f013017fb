"""Which columns a list shows in a terminal, for the lists that people ask for most; others show their plain columns."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "runs.list": ("id", "name", "status", "started_at", "metrics"),
    "traces.list": ("trace_id", "name", "status", "start", "cost"),
    "jobs.list": ("id", "name", "status", "done", "total", "created_at"),
    "evaluations.list": ("id", "status", "done", "total", "started_at", "cost"),
    "decisions.list": ("id", "asset", "alias", "verdict", "at"),
    "audit.list": ("sequence", "at", "actor_name", "action", "outcome"),
    "assets.versions": ("number", "created_at", "aliases", "digest"),
    "keys.list": ("id", "name", "role", "prefix", "expires_at", "revoked_at"),
}
