"""Rows as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence


def csv_text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A line for the headings and one per row; nothing is rounded.

    Args:
        header: headings.
        rows: text, numbers or nothing (`None`), as long as the header.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


def label_column(arm: str, labels: Mapping[str, str]) -> list[str]:
    """What people call an arm, as the last column of a table whose experiment has labels.

    Args:
        arm: its name.
        labels: of all arms that have one; without any there is no such column.
    """
    return [labels.get(arm, arm)] if labels else []
