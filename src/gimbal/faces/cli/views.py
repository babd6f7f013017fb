"""Which columns a list shows in a terminal, for the lists that people ask for most; others show their plain columns.

What is looked for first stands first: columns that have no room are left out from the right.
"""

COLUMNS: dict[str, tuple[str, ...]] = {
    "assets.list": ("kind", "name", "versions", "aliases", "latest_at"),
    "assets.moves": ("at", "kind", "name", "alias", "from_number", "to_number", "by", "reason"),
    "assets.versions": ("number", "created_at", "aliases", "note", "created_by", "digest"),
    "audit.list": ("sequence", "at", "actor_name", "action", "outcome"),
    "datasets.list": ("name", "versions", "aliases", "latest_at"),
    "decisions.list": ("id", "verdict", "candidate", "alias", "at"),
    "endpoints.list": ("slug", "targets", "resolved", "capture", "updated_at"),
    "evaluations.list": ("id", "subject", "status", "done", "total", "started_at", "cost", "suite"),
    "gates.list": ("id", "pattern", "updated_at"),
    "jobs.list": ("id", "name", "status", "done", "total", "created_at"),
    "keys.list": ("id", "name", "role", "prefix", "expires_at", "revoked_at"),
    "ledger.budgets": ("name", "amount", "period", "spent", "forecast", "unpriced", "dimension", "value"),
    "ledger.changes": (
        "start",
        "model",
        "old_cost",
        "new_cost",
        "reason",
        "changed_by",
        "trace_id",
        "old_book",
        "new_book",
    ),
    "ledger.statements": ("id", "filename", "first_day", "last_day", "lines", "cost", "rejected_lines", "format"),
    "ledger.unpriced": ("model", "reason", "calls", "command", "provider", "last", "trace_id"),
    "monitors.list": ("slug", "endpoint", "window", "label", "reference", "level"),
    "prices.list": (
        *("provider", "model", "tier", "input", "output", "cache_read", "factor"),
        *("valid_from", "state", "name", "cache_write", "valid_until"),
    ),
    "pricing.reratings": ("id", "status", "reason", "changed", "old", "new", "created_at", "dry_run"),
    "prices.versions": ("version", "in_force", "prices", "taken_at", "taken_by", "origin"),
    "providers.kinds": ("name", "title", "base_url", "variables"),
    "providers.list": ("name", "kind", "source", "key", "base_url", "problem", "models"),
    "runs.list": ("id", "name", "status", "started_at", "metrics"),
    "schedules.list": ("name", "cron", "job", "next_at"),
    "traces.list": ("trace_id", "name", "status", "duration_us", "cost", "start"),
}
# Commands that have done what they were asked, and yet scripts must see that the answer is no: the field that says so.
FAILED: dict[str, tuple[str, object]] = {
    "audit.verify": ("sound", False),
    "gates.promote": ("verdict", "refused"),
    "providers.check": ("ok", False),
}
