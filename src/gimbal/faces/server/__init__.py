"""The server: assembly, dispatch, authentication, health, and the processes that `gimbal up` runs.

A request goes `app` → `router` → `access` (who is asking) → the operation, dialect route or page that a table names.
There is no web framework between: routes are tables, and a reference such as `model:flights/delay@v7` may stand in a
path percent-encoded, which frameworks that route on the decoded path cannot tell from two segments.
"""
