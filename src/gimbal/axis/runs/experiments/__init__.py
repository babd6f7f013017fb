"""Experiments: what runs belong to that are compared with each other."""
