"""What accounts set and see of their webhooks: secrets, endpoints, deliveries."""
