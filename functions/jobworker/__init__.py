"""Brings jobs to their end, step by step."""
