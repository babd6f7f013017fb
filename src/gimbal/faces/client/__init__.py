"""The SDK: typed methods generated from the operation table, over one HTTP client; `session` is what scripts use.

Needs msgspec and httpx only, so that training jobs and applications can import it anywhere.
"""
