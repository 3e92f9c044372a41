"""The exceptions that kdive raises besides Python's own.

The native module raises these; `kdive` exports them.
"""

__all__ = (
    "BadDataError",
    "FaultError",
    "MissingDebugInfoError",
    "NoDefaultProgramError",
    "ObjectAbsentError",
    "ObjectNotFoundError",
    "OutOfBoundsError",
    "UnsupportedOperation",
)


class FaultError(Exception):
    """An address of the target could not be read.

    It is not mapped, its page is missing from the dump, or the target refused.

    Attributes:
        message: What is known of the cause.
        address: The first address that could not be read.
    """

    __module__ = "kdive"

    message: str
    address: int

    def __init__(self, message: str, address: int) -> None:
        super().__init__(message, address)
        self.message = message
        self.address = address

    def __str__(self) -> str:
        return f"{self.message}: {self.address:#x}"


class ObjectNotFoundError(KeyError):
    """The program has no object of the name that was looked up.

    Attributes:
        name: The name.
    """

    __module__ = "kdive"

    name: str | None

    def __init__(self, *args: object, name: str | None = None) -> None:
        super().__init__(*args)
        self.name = name

    def __str__(self) -> str:
        # KeyError would print the representation of the message, quotes included.
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class BadDataError(Exception):
    """A dump, debug information or VMCOREINFO is damaged, or says what can't be."""

    __module__ = "kdive"


class MissingDebugInfoError(Exception):
    """Debug information was asked for, and some of it could not be found."""

    __module__ = "kdive"


class NoDefaultProgramError(Exception):
    """No program was given, and this thread has no default program."""

    __module__ = "kdive"


class ObjectAbsentError(Exception):
    """The value of an absent object was needed."""

    __module__ = "kdive"


class OutOfBoundsError(Exception):
    """An element, a member or a conversion reaches past the end of a value."""

    __module__ = "kdive"


class UnsupportedOperation(ValueError):
    """The target or the debugging information can't do what was asked."""

    __module__ = "kdive"
