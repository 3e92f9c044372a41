"""What is wrong with a command that a person has given."""


class UserError(Exception):
    """Something is wrong with the input; the message is one line that says what, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
