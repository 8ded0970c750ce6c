"""AIgateway's own code: one metered call, pure money, and the rooms around them."""
