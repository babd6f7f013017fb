"""The demo: one command that takes a real model and a real LLM application once around their rings."""
