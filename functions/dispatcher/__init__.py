"""From an event that was written to those who want to know of it."""
