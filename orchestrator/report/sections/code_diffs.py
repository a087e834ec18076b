"""The diff that is judged, where arms run commits: the change itself, and not only what it was called."""

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.report.content.code_diff import ChangedFile, CodeDiff
from orchestrator.report.content.report import Report
from orchestrator.report.sections.section import (
    Chapter,
    FileName,
    Mention,
    Note,
    Part,
    Place,
    Section,
    SectionFile,
    ShownTable,
)
from orchestrator.report.words.table import Table
from trainers.counted import counted

_NUM_SHOWN = 16
"""Changed lines of a diff in tables; files have all."""

_MAX_WIDTH = 100
"""Characters of a line in tables."""


class CodeDiffsSection(Section):
    """For every treatment that is a commit, its changed lines, shortened; the whole as a file."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One for each such treatment."""
        for diff in report.code_diffs:
            parts: list[Part] = [ShownTable(diff_table(diff), above="", is_wrapped=True), Note(_told(diff))]
            if not diff.missing:
                parts.append(Mention(("The whole difference is ", FileName(diff.file), ".")))
            yield Chapter(_title(diff), parts, Place.DETAILS)

    def files(self, report: Report) -> Iterable[SectionFile]:
        """The whole difference of each."""
        for diff in report.code_diffs:
            if not diff.missing:
                yield SectionFile(f"diff_{diff.arm}", diff.file, diff.text.encode)


def diff_table(diff: CodeDiff) -> Table:
    """Its changed lines, up to a few."""
    rows = list(_rows(diff))
    shown = rows[:_NUM_SHOWN]
    if len(rows) > _NUM_SHOWN:
        shown.append(("...", f"{counted(len(rows) - _NUM_SHOWN, 'further line')} in {diff.file}"))
    return Table(title=_title(diff), columns=("file", "line"), num_text_columns=2, rows=shown)


def _title(diff: CodeDiff) -> str:
    return f"Code of {diff.arm} against {diff.control}"


def _rows(diff: CodeDiff) -> Iterator[tuple[str, str]]:
    for file in diff.files:
        name = file.name
        for line in file.lines:
            yield name, line if len(line) <= _MAX_WIDTH else f"{line[: _MAX_WIDTH - 3]}..."
            name = ""
        if not file.lines:
            yield name, file.note


def _told(diff: CodeDiff) -> str:
    both = f"{diff.arm} ran {diff.code}, {diff.control} ran {diff.control_code}"
    if diff.missing:
        return f"{both}; what differs between them is not known: {diff.missing}."
    return f"{both}: {_counts(diff.files)}. Only packages that the experiment uses are compared."


def _counts(files: Sequence[ChangedFile]) -> str:
    added, removed = sum(file.num_added for file in files), sum(file.num_removed for file in files)
    differ = "differs" if len(files) == 1 else "differ"
    return f"{counted(len(files), 'file')} {differ}, {counted(added, 'line')} added, {removed} removed"
