"""Whom we trust."""

import functools
import ssl


@functools.cache
def trust(ca_file: str = "") -> ssl.SSLContext:
    """Return what TLS trusts: the machine's store (or the file in SSL_CERT_FILE), or `ca_file` alone."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.set_alpn_protocols(["http/1.1"])
    return context
