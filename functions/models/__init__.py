"""The catalog, the health of providers, the API description, and every path that is not there."""
