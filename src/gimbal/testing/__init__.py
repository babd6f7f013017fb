"""Shipped test tools: conformance suites for stores, providers, scorers and detectors, fakes, and a frozen clock."""
