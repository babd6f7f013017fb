"""Numbered schema migrations: `catalog` for alembic, `columns` as SQL."""
