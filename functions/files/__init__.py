"""Files on their way in and out: uploads, and what signed links open."""
