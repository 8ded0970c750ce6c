"""The operator's commands: accounts, keys, top-ups, provider keys, and what the build generates."""
