"""Prompts in a program: fetched once, filled here, followed in the background, and kept on disk for when the server is away.

`prompt` is what a program holds and fills, `shelf` holds what references mean now and follows them, `copies` is the disk.
"""
