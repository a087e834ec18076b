"""The command that looks at the machine: doctor."""

import typer
from rich.text import Text

from api.cli.terminal import AsJson, Exit, out, write_json
from trainers.counted import counted

_MARKS = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "problem": ("!!  ", "bold red")}


def add_commands(application: typer.Typer) -> None:
    """Add this file's command."""
    application.command(epilog="Example: sigmalab doctor")(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Check whether this machine can run experiments, and say what to type where something is missing.

    No service is needed, and nothing is changed.

    Exit code 0: everything that is needed is there; 5: something is missing.
    """
    from api.doctor import State, examine  # noqa: PLC0415 (pydantic-settings: no other command should pay)

    findings = examine()
    problems = [finding for finding in findings if finding.state is State.PROBLEM]
    if as_json:
        write_json({"healthy": not problems, "findings": [finding.model_dump(mode="json") for finding in findings]})
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark, style = _MARKS[finding.state.value]
            out.print(Text(mark, style=style) + Text(f"  {finding.name:<{width}}  {finding.text}", style=""))
            if finding.advice:
                out.print(Text(f"      {'':<{width}}  -> {finding.advice}"))
        out.print()
        count = counted(len(problems), "problem")
        out.print(
            f"{count}; the lines with -> say what to do" if problems else "everything that experiments need is there"
        )
    if problems:
        raise typer.Exit(Exit.STACK)
