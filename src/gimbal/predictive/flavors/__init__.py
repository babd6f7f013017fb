"""Flavors: how models of each library are saved without code, described by a signature, loaded and asked.

`loading.load` finds the flavor of a version; `serving` calls it in a model process and never in the server.
"""

from gimbal.predictive.flavors.model import ModelManifest, Signature, TensorSpec

__all__ = ["ModelManifest", "Signature", "TensorSpec"]
