"""What keeps the local stack from starting."""


class StartError(Exception):
    """The message is one line for the person who typed the command: what is wrong, and what to do."""
