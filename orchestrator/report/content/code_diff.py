"""What differs between the code of two arms, as data."""

from trainers.strict import StrictModel


class ChangedFile(StrictModel):
    """One file that differs."""

    name: str
    """Its path in the folder of code."""
    num_added: int
    """Lines that only the treatment has."""
    num_removed: int
    """Lines that only the control has."""
    lines: tuple[str, ...] = ()
    """The first of these lines, with `+` or `-` before each; the diff has all."""
    note: str = ""
    """What there is to say of it beside (`new`, `gone`, `not shown: no text`)."""


class CodeDiff(StrictModel):
    """The change that a treatment is, where it is one of code: between what both arms really ran."""

    arm: str
    """Name of the treatment."""
    control: str
    """Name of the control."""
    code: str
    """Which code the treatment ran, in words."""
    control_code: str
    """Which code the control ran."""
    files: tuple[ChangedFile, ...]
    """All files that differ, by name."""
    text: str
    """The whole difference, as a unified diff."""
    file: str
    """Name of its file in the report's folder."""
    missing: str = ""
    """Why it is not known (empty: it is)."""
