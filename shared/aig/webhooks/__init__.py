"""What webhooks are: who is told, in which bytes, signed how, when again, and when no more. Pure."""
