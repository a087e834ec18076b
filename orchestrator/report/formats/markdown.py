"""The report as Markdown: for pull requests, notebooks and MLflow's run descriptions."""

import re
from collections.abc import Iterable, Iterator

from orchestrator.report.content.report import Report
from orchestrator.report.sections.order import chapters_of
from orchestrator.report.sections.section import (
    Chapter,
    Detail,
    FileName,
    Mention,
    Note,
    Part,
    Picture,
    Place,
    ShownTable,
)
from orchestrator.report.words.table import Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def to_markdown(report: Report) -> str:
    """The whole report."""
    chapters = sorted(chapters_of(report), key=lambda chapter: chapter.place)
    parts = [
        f"# {escape(report.experiment.name)}",
        *_question(report),
        "## Answer",
        _bullets([*report.answers, *report.remarks]),
        *(text for chapter in chapters if chapter.place < Place.ORIGIN for text in _texts(chapter)),
        "## Caveats",
        _bullets(report.caveats),
        *(text for chapter in chapters if chapter.place is Place.ORIGIN for text in _texts(chapter)),
        footer(report),
    ]
    return "\n\n".join(parts) + "\n"


def to_short_markdown(report: Report) -> str:
    """Answers, comparisons, sigma by layer and caveats: what fits a description field."""
    parts = [*_question(report), _bullets([*report.answers, *report.remarks])]
    for chapter in chapters_of(report):
        for part in _shown(chapter, Detail.SUMMARY):
            if isinstance(part, ShownTable):
                parts += [*_title(chapter, part.table, "**{}**"), *_grid(part)]
    parts += ["**Caveats**", _bullets(report.caveats), f"Digest `{report.provenance.digest}`"]
    return "\n\n".join(parts) + "\n"


def _texts(chapter: Chapter) -> Iterator[str]:
    """Paragraphs, headings and tables of a chapter."""
    if chapter.is_headed:
        yield f"## {escape(chapter.title)}"
    for part in _shown(chapter, Detail.DOCUMENT):
        match part:
            case ShownTable(table):
                yield from _title(chapter, table, "**{}**" if chapter.is_headed else "## {}")
                yield from _grid(part)
            case Note(text):
                yield escape(text)
            case Mention(pieces):
                yield "".join(_file(piece.name) if isinstance(piece, FileName) else _literal(piece) for piece in pieces)
            case Picture(name, caption=caption) if caption:
                yield f"{_file(f'{name}.png')}: {escape(caption)}"


def _shown(chapter: Chapter, most: Detail) -> Iterator[Part]:
    """The parts that do not go into more detail."""
    for part in chapter.parts:
        if isinstance(part, ShownTable | Note) and part.detail > most:
            continue
        if not isinstance(part, ShownTable) or part.table.rows:
            yield part


def _title(chapter: Chapter, table: Table, heading: str) -> list[str]:
    """A table's own title, unless the chapter's heading says enough: that of the only table in it."""
    is_alone = chapter.is_headed and sum(isinstance(part, ShownTable) for part in chapter.parts) == 1
    return [] if is_alone else [heading.format(escape(table.title))]


def _grid(shown: ShownTable) -> list[str]:
    return [grid(shown.table), *map(escape, shown.footnotes)]


def _file(name: str) -> str:
    return f"[{name}]({name})" if name.endswith(".png") else f"`{name}`"


def footer(report: Report) -> str:
    """Where all numbers come from, in one line."""
    return f"---\n\nsigmalab, experiment `{report.experiment.id}`, digest `{report.provenance.digest}`"


def grid(table: Table) -> str:
    """One table in the pipe syntax."""
    num_numbers = len(table.columns) - table.num_text_columns
    rule = ["---"] * table.num_text_columns + ["---:"] * num_numbers
    lines = [_row(map(escape, table.columns)), _row(rule)]
    lines += [_row(map(escape, row)) for row in table.rows]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Show a text as it is: nothing in it is markup, and it stays on one line."""
    return _literal(" ".join(text.split()))


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _question(report: Report) -> list[str]:
    return [f"> {escape(report.question)}"] if report.question else []


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)
