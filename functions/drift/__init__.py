"""Tells of models that came or go."""
