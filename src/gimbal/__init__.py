"""Gimbal."""
