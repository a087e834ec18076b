"""Makes objects of the user's own code that a config names, and tells in the user's own frames what goes wrong."""

import difflib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from trainers.errors import OwnCodeError, TrainerError
from trainers.own_code.generators import generators_for_import
from trainers.own_code.place import is_running, own_code_here
from trainers.own_code.python_object import PythonObject, is_object

_NUM_FRAMES = 3


def built(named: PythonObject, *, wanted: str, given: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 (theirs)
    """What a target makes of its arguments.

    Args:
        named: target and arguments.
        wanted: what it should be, for messages, such as `a model`.
        given: further arguments, each passed on if the target takes one of this name.

    Raises:
        OwnCodeError: it does not import, is not there, takes no such argument, or raises.
    """
    making = bound(named, wanted=wanted, given=given)
    return called(making, f"{named.target}({_shown(making.keywords)}) can't be built")


def bound(named: PythonObject, *, wanted: str, given: Mapping[str, Any] | None = None) -> "partial[Any]":
    """A target with its arguments, not called yet.

    Args:
        named: target and arguments.
        wanted: what it should be, for messages.
        given: further arguments, each passed on if the target takes one of this name.

    Raises:
        OwnCodeError: it does not import, is not there, or takes no such argument.
    """
    target = loaded(named.target)
    if not callable(target):
        raise OwnCodeError(f"{named.target} is {kind_of_object(target)}; {wanted} needs a class or a function")
    arguments = {name: _argument(value) for name, value in named.arguments.items()}
    taken = _parameters(target)
    if taken is not None:
        _refuse_unknown(named.target, arguments, taken)
    for name, value in (given or {}).items():
        if (taken is None or name in taken) and name not in arguments:
            arguments[name] = value
    return partial(target, **arguments)


def as_function(named: PythonObject, *, wanted: str, given: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """What is called later: a function with its arguments, or what a class makes of them.

    Args:
        named: target and arguments.
        wanted: what it should be, for messages.
        given: further arguments, each passed on if the target takes one of this name.

    Raises:
        OwnCodeError: it can't be made, or not be called.
    """
    if not isinstance(loaded(named.target), type):
        return bound(named, wanted=wanted, given=given)
    made = built(named, wanted=wanted, given=given)
    if not callable(made):
        raise OwnCodeError(
            f"{named.target} gives {kind_of_object(made)} that can't be called; {wanted} is a function, or a class "
            "whose objects are called like one (`__call__`, or `forward` of an nn.Module)"
        )
    function: Callable[..., Any] = made
    return function


def takes(named: PythonObject, argument: str) -> bool:
    """Whether a target has an argument of this name, which the config does not give.

    Raises:
        OwnCodeError: it does not import, or is not there.
    """
    target = loaded(named.target)
    return callable(target) and argument in (_parameters(target) or ()) and argument not in named.arguments


def loaded(name: str) -> Any:  # noqa: ANN401 (theirs)
    """The class, function or value that a target names.

    Raises:
        OwnCodeError: its module does not import, or has no such name.
    """
    if not is_running():
        # Where own code lies at no special place, what is installed may be imported by whoever runs trials.
        raise OwnCodeError(f"{name} is not imported in this process")
    own_code_here().require(name.partition(":")[0])
    module_name, _, path = name.partition(":")
    try:
        with generators_for_import():
            found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise OwnCodeError(f"{name}: the module {module_name} does not import: {told(error)}") from error
    folder, file = own_code_here().folder, getattr(found, "__file__", None)
    if folder is not None and (folder / module_name.split(".")[0]).exists() and not _lies_in(file, folder):
        raise OwnCodeError(
            f"{name}: another module of the name {module_name} is in use here already ({file}); give yours another name"
        )
    for part in path.split("."):
        if not hasattr(found, part):
            names = [each for each in vars(found) if not each.startswith("_")]
            near = difflib.get_close_matches(part, names, n=3) or sorted(names)[:8]
            raise OwnCodeError(f"{name}: {module_name} has no {part}; it has {', '.join(near) or 'nothing'}")
        found = getattr(found, part)
    return found


def called(function: Callable[..., Any], failure: str, /, *given: Any, **arguments: Any) -> Any:  # noqa: ANN401 (theirs)
    """What a function of the user's makes of arguments.

    Args:
        function: class or function.
        failure: how a message begins if it raises.
        given: by place.
        arguments: by name.

    Raises:
        OwnCodeError: it raised.
    """
    try:
        return function(*given, **arguments)
    except TrainerError:
        raise
    except Exception as error:
        raise OwnCodeError(f"{failure}: {told(error)}") from error


def told(error: BaseException) -> str:
    """An error of the user's code: type and words, then their own frames, the innermost first."""
    words = str(error).strip() or "no reason given"
    frames = [
        f"{_file_of(frame.filename)} line {frame.lineno}, in {frame.name}: {frame.line}"
        for frame in reversed(traceback.extract_tb(error.__traceback__))
        if _is_theirs(frame.filename)
    ]
    if isinstance(error, SyntaxError) and error.filename is not None:
        frames = [f"{_file_of(error.filename)} line {error.lineno}"]
        words = error.msg
    shown = "".join(f" [{frame}]" for frame in frames[:_NUM_FRAMES])
    return f"{type(error).__name__}: {words}{shown}"


def kind_of_object(value: object) -> str:
    """What messages call something that does not fit."""
    return f"an object of the type {type(value).__name__}"


def _argument(value: JsonValue) -> Any:  # noqa: ANN401 (theirs)
    if is_object(value):
        assert isinstance(value, dict)
        return built(PythonObject.model_validate(value), wanted="an argument")
    if isinstance(value, dict):
        return {name: _argument(inner) for name, inner in value.items()}
    return [_argument(inner) for inner in value] if isinstance(value, list) else value


def _parameters(target: Callable[..., Any]) -> list[str] | None:
    """Names that it takes (`None`: any, or nobody knows)."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]


def _refuse_unknown(target: str, arguments: Mapping[str, Any], taken: list[str]) -> None:
    for name in arguments:
        if name not in taken:
            near = difflib.get_close_matches(name, taken, n=3, cutoff=0.4) or taken
            raise OwnCodeError(f"{target} takes no argument `{name}`; it takes {', '.join(near) or 'none'}")


def _is_theirs(file: str) -> bool:
    folder = own_code_here().folder
    if folder is not None:
        return Path(file).is_relative_to(folder)
    ours = Path(__file__).parent.parent
    return not (Path(file).is_relative_to(ours) or file.startswith(("<", sys.base_prefix)))


def _file_of(file: str) -> str:
    folder = own_code_here().folder
    if folder is not None and Path(file).is_relative_to(folder):
        return str(Path(file).relative_to(folder))
    return file


def _lies_in(file: str | None, folder: Path) -> bool:
    return file is None or Path(file).is_relative_to(folder)


def _shown(arguments: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    return text if len(text) < 200 else f"{text[:200]}..."
