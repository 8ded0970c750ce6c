"""Money as integers: prices in pico-USD per unit, ledger in nano-USD. Pure."""
