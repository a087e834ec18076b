"""Runs that others have written as TensorBoard's event files, as a table of results."""

import hashlib
import json
import re
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.io_wrapper import GetLogdirSubdirectories
from tensorboard.util import tensor_util

from orchestrator.foreign.columns import ROLES
from orchestrator.foreign.results import ForeignResultsError, Row, Table

_NAMED = 3
_EVERY_VALUE = {"scalars": 0, "tensors": 0, "images": 1, "audio": 1, "histograms": 1, "compressedHistograms": 1}
"""By default a long run's values are thinned out, the last one kept: nothing hangs on that here."""


def past_runs(folder: Path, pattern: str) -> Table:
    """The runs below a folder whose path is of the pattern; its names are columns, and so are all scalars.

    A scalar's value is that of its last step.

    Args:
        folder: what `tensorboard --logdir` would be given.
        pattern: a run's path below it, such as `{arm}/seed{seed}`; a name stands for anything but a slash.

    Raises:
        ForeignResultsError: the pattern is none, or no run is of it.
    """
    form = _form(pattern)
    places = {Path(found).relative_to(folder).as_posix(): Path(found) for found in GetLogdirSubdirectories(str(folder))}
    if not places:
        raise ForeignResultsError([f"there is no event file of TensorBoard below {folder}"])
    matches = {path: found for path in sorted(places) if (found := form.fullmatch(path))}
    if not matches:
        named = ", ".join(sorted(places)[:_NAMED])
        raise ForeignResultsError(
            [f"none of the {len(places)} runs below {folder} is of the form `{pattern}`; there are {named}"]
        )
    rows = tuple(Row(f"run {path}", {**found.groupdict(), **_last(places[path])}) for path, found in matches.items())
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    told = json.dumps([[row.place, sorted(row.values.items())] for row in rows])
    digest = hashlib.sha256(told.encode()).hexdigest()
    return Table(f"the event files in {folder.name}", digest, columns, rows, len(places) - len(matches))


def _form(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression."""
    pieces = re.split(r"\{(\w*)\}", pattern)
    names = pieces[1::2]
    unknown = [name for name in names if name not in ROLES]
    if unknown or len(set(names)) < len(names) or not {"arm", "seed"} <= set(names):
        needs = "it needs {arm} and {seed}, each once, such as {arm}/seed{seed}, and may have {model} and {dataset}"
        raise ForeignResultsError([f"`{pattern}` is not a pattern of runs: {needs}"])
    parts = (f"(?P<{piece}>[^/]+?)" if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))
    return re.compile("".join(parts))


def _last(run: Path) -> dict[str, float]:
    """Tag -> the value of its last step, of scalars in the form of old writers (torch's) and of new ones."""
    events = EventAccumulator(str(run), size_guidance=_EVERY_VALUE)
    events.Reload()
    tags = events.Tags()
    last = {tag: float(max(events.Scalars(tag), key=_moment).value) for tag in tags["scalars"]}
    for tag in tags["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            last[tag] = float(tensor_util.make_ndarray(max(events.Tensors(tag), key=_moment).tensor_proto))
    return last


def _moment(event: object) -> tuple[int, float]:
    return event.step, event.wall_time  # type: ignore[attr-defined]  # of two classes without a base
