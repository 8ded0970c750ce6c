"""Adapters: one wire format, one file. They map to and from aig.modalities; only aig_providers.wire opens sockets."""
