# SPDX-License-Identifier: Apache-2.0
"""Decorators that make the program argument of a helper optional."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from kdive import Object, Program, get_default_prog

__all__ = ("takes_object_or_program_or_default", "takes_program_or_default")

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class TakesProgramOrDefault(Protocol[P, R_co]):
    """A function that may be called with or without a leading `Program`."""

    __wrapped__: Callable[..., Any]

    @overload
    def __call__(self, prog: Program, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class TakesObjectOrProgramOrDefault(Protocol[P, R_co]):
    """A function that may be called with a leading `Program`, a leading `Object`, or neither."""

    __wrapped__: Callable[..., Any]

    @overload
    def __call__(self, prog: Program, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, obj: Object, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


def _program_of_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Program:
    for value in (*args, *kwargs.values()):
        if isinstance(value, Object):
            return value.prog_
    return get_default_prog()


def takes_program_or_default(
    f: Callable[Concatenate[Program, P], R],
) -> TakesProgramOrDefault[P, R]:
    """Let callers omit the first parameter of *f*, a `Program`.

    When it is omitted, the program of the first `Object` among the arguments is used, and
    the default program of the thread if there is none. The undecorated function stays available
    as ``__wrapped__``.

    >>> @takes_program_or_default
    ... def release(prog: Program) -> bytes:
    ...     return prog["UTS_RELEASE"].string_()
    >>> release(prog) == release()
    True
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> R:
        if "prog" in kwargs or (args and isinstance(args[0], Program)):
            return f(*args, **kwargs)
        return f(_program_of_arguments(args, kwargs), *args, **kwargs)

    return cast(TakesProgramOrDefault[P, R], wrapper)


def takes_object_or_program_or_default(
    f: Callable[Concatenate[Program, Object | None, P], R],
) -> TakesObjectOrProgramOrDefault[P, R]:
    """Let *f*, whose first parameters are a `Program` and an optional `Object`, be called with either or neither.

    - ``helper(prog, x)`` calls ``f(prog, None, x)``;
    - ``helper(obj, x)`` calls ``f(obj.prog_, obj, x)``;
    - ``helper(x)`` calls ``f(get_default_prog(), None, x)``, or ``f(x.prog_, None, x)`` when *x* is an `Object`.

    To tell ``helper(obj, x)`` from ``helper(x)``, the positional parameters after the object must not have defaults.

    :raises TypeError: when *f* has such a parameter
    """
    signature = inspect.signature(f)
    parameters = list(signature.parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    object_name = positional[1].name
    remaining = positional[2:]
    if any(p.default is not p.empty for p in remaining):
        raise TypeError(f"{f.__name__}() must not have positional parameters with defaults")

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> R:
        obj = kwargs.pop(object_name, None)
        if args and isinstance(args[0], Program):
            return f(args[0], obj, *args[1:], **kwargs)
        if "prog" in kwargs:
            return f(kwargs.pop("prog"), obj, *args, **kwargs)
        if obj is not None:
            return f(obj.prog_, obj, *args, **kwargs)
        expected = sum(p.name not in kwargs for p in remaining)
        if args and isinstance(args[0], Object) and len(args) > expected:
            return f(args[0].prog_, args[0], *args[1:], **kwargs)
        return f(_program_of_arguments(args, kwargs), None, *args, **kwargs)

    # What callers see is one parameter, under the name of the object.
    either = parameters[1].replace(annotation=Object | Program)
    wrapper.__signature__ = signature.replace(parameters=[either, *parameters[2:]])  # type: ignore[attr-defined]
    return cast(TakesObjectOrProgramOrDefault[P, R], wrapper)
