"""Any command, any terminal, any file name: a message, never a traceback. Commands are found, not listed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperArgument, TyperCommand, TyperOption

from api.cli.application import application
from api.cli.terminal import Exit

NOT_UTF8 = "caf\xe9"
"""One byte for each character, as latin-1 has it."""
NOBODY = "http://127.0.0.1:1"


def commands() -> Iterator[tuple[list[str], TyperCommand]]:
    """Every command that the application registers, groups opened, with its parameters."""
    pending = [([], typer.main.get_command(application))]
    while pending:
        words, command = pending.pop()
        if inner := getattr(command, "commands", None):
            pending += [([*words, name], each) for name, each in sorted(inner.items())]
        else:
            yield words, command


def filled(command: TyperCommand) -> list[str]:
    """Its arguments and required options; every text among them is not UTF-8."""
    words = []
    for parameter in command.params:
        kind = parameter.bare_type()
        value = "3" if "int" in kind or "float" in kind else NOT_UTF8
        if isinstance(parameter, TyperArgument):
            words.append(value)
        elif parameter.required:
            words += [parameter.opts[0], value]
    return words


def paths_of(command: TyperCommand) -> list[str]:
    """Options that name a file or folder."""
    return [each.opts[0] for each in command.params if isinstance(each, TyperOption) and each.bare_type() == "Path"]


@pytest.fixture
def run(tmp_path: Path):
    """Runs of the program, all in one go."""
    home = tmp_path / "home"
    home.mkdir()
    program = Path(__file__).with_name("hostile_runs.py")

    def run_all(runs: list[dict[str, object]], **environment: str) -> list[dict[str, object]]:
        everything = [{"encoding": "ascii", "stdout": "-", **each} for each in runs]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SIGMALAB_", "RAY_", "MLFLOW"))
        }
        ended = subprocess.run(
            [sys.executable, str(program)],
            input=json.dumps(everything),
            capture_output=True,
            text=True,
            timeout=500,
            cwd=tmp_path,
            env={**kept, "SIGMALAB_HOME": str(home), "SIGMALAB_URL": NOBODY, "COLUMNS": "100", **environment},
        )
        assert ended.returncode == 0, ended.stderr
        answers = json.loads(ended.stdout)
        for asked, answer in zip(everything, answers, strict=True):
            assert "Traceback" not in answer["out"] + answer["err"], (asked, answer)
            assert "Exception ignored" not in answer["err"], (asked, answer)
            assert answer["code"] in set(Exit), (asked, answer)
        return answers

    return run_all


CHILDREN = ("receptive-field", "learned-bias", "data prepare", "data list", "doctor", "schema", "plan")
"""Commands that import torch, or start a process that does."""


def told(run, chosen: Callable[[str], bool]) -> None:
    hostile = []
    for words, command in commands():
        if not chosen(" ".join(words)):
            continue
        # Started for real, they would stay.
        inserted = {"serve": ["--host", NOT_UTF8], "demo": ["--spec", NOT_UTF8]}.get(words[0])
        arguments = inserted if inserted is not None else filled(command)
        impossible = [word for option in paths_of(command) for word in (option, f"/dev/null/{NOT_UTF8}")]
        hostile.append({"arguments": [*words, *arguments, *impossible]})
    assert hostile
    for asked, answer in zip(hostile, run(hostile), strict=True):
        takes_nothing = asked["arguments"] in (["list"], ["schema"], ["recipes"], ["data", "list"], ["doctor"])
        assert takes_nothing or answer["code"] not in (0, 1), (asked, answer)
        assert takes_nothing or answer["err"], asked


def test_every_command_bears_names_that_are_no_utf_8(run) -> None:
    told(run, lambda name: name not in CHILDREN)


@pytest.mark.parametrize("name", CHILDREN)
def test_commands_that_hand_on_bear_them_too(run, name: str) -> None:
    told(run, name.__eq__)


NO_ADDRESS = "http://ann:se/cret@[::1"


def asking() -> list[list[str]]:
    """Every command that speaks to the service, with what it needs besides."""
    found = []
    for words, command in commands():
        if any("--url" in each.opts for each in command.params):
            needed = [each for each in command.params if isinstance(each, TyperArgument) or each.required]
            values = {"Path": "spec.json", "int": "3", "list[int]": "3"}
            for each in needed:
                if each.required:
                    words += [
                        *([] if isinstance(each, TyperArgument) else [each.opts[0]]),
                        values.get(each.bare_type(), "x"),
                    ]
            found.append(words)
    return found


@pytest.mark.slow
def test_an_address_that_is_none_is_named_without_its_password(run, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    asked = asking()
    assert len(asked) > 8
    answers = run([{"arguments": [*words, "--url", NO_ADDRESS]} for words in asked])
    answers += run([{"arguments": ["list"]}], SIGMALAB_URL=NO_ADDRESS)
    for words, answer in zip([*asked, ["list"]], answers, strict=True):
        assert answer["code"] == Exit.UNREACHABLE, (words, answer)
        assert "at http://[::1 (" in answer["err"], (words, answer)
        assert "cret" not in answer["out"] + answer["err"], (words, answer)


@pytest.mark.slow
def test_the_doctor_bears_addresses_that_are_none(run) -> None:
    variables = ("SIGMALAB_URL", "SIGMALAB_RAY_DASHBOARD_URL", "RAY_ADDRESS", "MLFLOW_TRACKING_URI")
    (answer,) = run([{"arguments": ["doctor"]}], **dict.fromkeys(variables, NO_ADDRESS))
    assert answer["code"] == Exit.STACK
    assert "cret" not in answer["out"] + answer["err"]
    for text in ("RAY_ADDRESS=http://[::1", "MLFLOW_TRACKING_URI=http://[::1", "answers at http://[::1 (SIGMALAB_URL)"):
        assert text in answer["out"]


def test_help_on_any_terminal_into_any_place(run) -> None:
    places = ("-", "closed-pipe", "/dev/full", "closed")
    runs = [{"arguments": [*words, "--help"], "stdout": place} for words, _ in commands() for place in places]
    expected = {"-": Exit.OK, "closed-pipe": Exit.NOBODY_READS, "/dev/full": Exit.FILE_TROUBLE, "closed": Exit.OK}
    for asked, answer in zip(runs, run(runs), strict=True):
        assert answer["code"] == expected[asked["stdout"]], (asked, answer)
        if asked["stdout"] == "/dev/full":
            assert answer["err"] == "error: the output can't be written: No space left on device\n"
