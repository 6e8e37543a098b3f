"""The base of all refusals, apart from what raises them: to tell one, nothing is imported."""


class Refused(Exception):
    """What was asked for cannot be done as things stand: the message says why, and what to do."""
