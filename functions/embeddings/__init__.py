"""Vectors for texts."""
