"""Money that customers bring: top-ups, and what payment providers tell of them."""
