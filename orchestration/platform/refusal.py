"""Base classes of errors, in a module of its own so that catching one imports nothing."""


class Refused(Exception):
    """The command cannot run in the current state; the message has the reason and the cure."""


class Retryable(Exception):
    """An error that waiting may cure: a step that meets it is tried again."""
