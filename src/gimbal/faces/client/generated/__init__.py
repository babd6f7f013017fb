"""Typed methods for every operation; written by gimbal.faces.client.generate."""
