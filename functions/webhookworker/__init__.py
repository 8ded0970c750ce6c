"""Attempts to tell receivers: the first by the queue, the others by a state machine."""
