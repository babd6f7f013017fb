"""Shipped test tools: conformance suites for stores, providers, HTTP clients and scorers, and a frozen clock.

Whoever writes a scorer, a provider or a store of their own runs its suite in a test; our own implementations pass the
same suites. Each suite is one function that raises AssertionError with a sentence that says what was promised.
"""
