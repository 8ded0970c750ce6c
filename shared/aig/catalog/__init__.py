"""Which models there are, who serves them, at what price: data compiled from /catalog, and choices made on it."""
