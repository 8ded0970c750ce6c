"""The records of requests: what was asked, what came of it, what it cost."""
