"""The one exception of the lab."""


class LabError(Exception):
    """A target could not be made; the message says what failed, where the log is and what to do."""
