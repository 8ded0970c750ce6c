"""How good the local models are: small sets written by hand, each model in a process of its own."""
