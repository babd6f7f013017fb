"""The doors that clients of each wire knock at; every one leads to every provider.

`answering` carries a call, whichever door it came by; `passing` hands on what is not a conversation.
"""

from gimbal.generative.gateway.dialect import anthropic, gemini, openai, passing

__all__ = ["anthropic", "gemini", "openai", "passing"]
