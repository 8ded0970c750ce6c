"""The only room that speaks to AWS: one file per family of items."""
