"""The wires that callers speak: each decodes a request into a Call and encodes Pieces and errors in its own form."""
