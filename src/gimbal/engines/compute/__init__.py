"""Durable work: jobs that survive the death of their worker, and schedules that start them.

A room declares work with `jobs.job`, anyone enqueues it with `jobs.Jobs`, `worker.Worker` carries it out in the worker
process. Everything is in the catalog, so SQLite and PostgreSQL serve alike and there is nothing else to run.
"""
