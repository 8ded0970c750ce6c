"""What a tenant has used: reports by time, tag, model and sub-account."""
