"""Pictures made from prompts."""
