"""The three stores and what keeps them right: catalog (nouns), columns (telemetry), blobs (files).

`catalog` is SQLite or PostgreSQL, `columns` chDB or ClickHouse, `blobs` a folder or an object store; each speaks one
dialect whatever its size. `writer` groups telemetry into durable commits, `dialect` lends the embedded columns to our
other processes, `migrate` brings schemas up to date, `backup` copies the embedded set.
"""
