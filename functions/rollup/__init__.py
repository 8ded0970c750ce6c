"""The roll-up of the ledger into usage."""
