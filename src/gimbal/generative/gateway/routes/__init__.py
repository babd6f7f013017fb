"""Routes: which model answers a call, as versioned assets (`route:support`).

`model` says what a route may hold, `files` reads one from TOML, `choosing` turns a route and a call into a Plan, which
`resilience` carries out. `service` publishes routes and keeps those that are called ready in memory.
"""
