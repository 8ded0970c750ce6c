"""What a caller may know of its own money and key."""
