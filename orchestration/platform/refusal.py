"""The base class of all refusals, in a module of its own so that catching one imports nothing."""


class Refused(Exception):
    """The command cannot run in the current state; the message has the reason and the cure."""
