"""Runs brought over from another tracker: whole runs in large requests, and fingerprints to compare both sides by.

Who reads the other tracker is `faces/importing`. Every request is harmless twice.
"""
