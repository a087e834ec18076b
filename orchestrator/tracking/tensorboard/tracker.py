"""The runs of experiments as TensorBoard reads them: `<folder>/<experiment>/<run>/`, with one event file each.

Scalars keep the step and the time at which they were measured (TensorBoard itself has them in single precision),
configs are in its HParams, descriptions and tables in its texts, figures in its images.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cachetools import LRUCache
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb

from orchestrator.report.formats.markdown import grid
from orchestrator.report.words.table import Table
from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.tracking.naming import SUMMARY, summary_key
from orchestrator.tracking.tensorboard.event_file import DamagedError, EventFile
from orchestrator.tracking.tensorboard.kind import NAME
from orchestrator.tracking.tracker import NewRun, Point, Tracker, TrackerRefusedError, TrackerUnavailableError

_EVENTS = "events.out.tfevents.sigmalab"
"""TensorBoard takes files with `tfevents` in their name."""
_ID_FILE = ".sigmalab-folder"
_NOT_IN_NAME = re.compile(r"[^\w.=,+-]+")
_MAX_NAME = 120
_TRIAL = "-trial"
_FILES_KNOWN = 64
"""Event files whose content is kept in mind; another one is read again."""


class TensorboardTracker(Tracker):
    """A folder of event files.

    The folder has a name of its own, a random one in a file: what was sent into another folder (that of another
    machine, or the same one before somebody removed it) is sent again into this one.
    """

    name = NAME
    title = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        """`folder`: made when something is written."""
        self._folder = folder
        self._files: LRUCache[str, EventFile] = LRUCache(_FILES_KNOWN)

    def ensure_group(self, experiment_id: str, name: str, known: str | None) -> str:
        """The experiment's folder."""
        with _translated():
            self._folder.mkdir(parents=True, exist_ok=True)
            group = f"{self._own_id()}/{experiment_id}"
            if known is not None and (known != group or not (self._folder / experiment_id).is_dir()):
                text = f"{self._folder} does not have what was written for {experiment_id}"
                raise TrackerRefusedError(text, is_missing=True)
            (self._folder / experiment_id).mkdir(exist_ok=True)
            return group

    def _own_id(self) -> str:
        file = self._folder / _ID_FILE
        if not file.exists():
            draft = self._folder / f"{_ID_FILE}.{secrets.token_hex(8)}"
            draft.write_text(secrets.token_hex(8))
            # Whoever was faster has named it.
            with suppress(FileExistsError):
                os.link(draft, file)
            draft.unlink()
        return file.read_text()

    def ensure_run(self, group: str, run: NewRun) -> str:
        """`<name>-trial<number>`, of which only the number counts: names may change."""
        with _translated():
            for key, folder in self.known_runs(group, run.experiment_id):
                if key == run.key:
                    return folder
            made = SUMMARY
            if run.key != summary_key(run.experiment_id):
                made = f"{_NOT_IN_NAME.sub('-', run.name)[:_MAX_NAME]}{_TRIAL}{run.key.rpartition('/')[2]}"
            (self._folder / run.experiment_id / made).mkdir(exist_ok=True)
            return f"{run.experiment_id}/{made}"

    def known_runs(self, group: str, experiment_id: str) -> list[tuple[str, str]]:
        """By their folders."""
        with _translated():
            names = sorted(path.name for path in (self._folder / experiment_id).iterdir() if path.is_dir())
        return [(f"{experiment_id}/{name.rpartition(_TRIAL)[2]}", f"{experiment_id}/{name}") for name in names]

    def discard(self, run: str) -> None:
        """With its folder."""
        with _translated():
            self._files.pop(run, None)
            shutil.rmtree(self._folder / run)

    def reopen(self, run: str) -> None:
        """Nothing: an event file is never closed."""

    def params(self, run: str, params: Mapping[str, bool | float | str], at: datetime) -> None:
        """As HParams; a summary was not trained, and has none."""
        if run.rpartition("/")[2] != SUMMARY:
            self._append(run, [hparams_pb(dict(params), trial_id=run, start_time_secs=at.timestamp())], at)

    def log(self, run: str, points: Sequence[Point]) -> None:
        """As scalars."""
        events = [
            Event(
                wall_time=point.at.timestamp(),
                step=point.step,
                summary=Summary(value=[Summary.Value(tag=point.key, simple_value=point.value)]),
            )
            for point in points
        ]
        self._write(run, events)

    def describe(self, run: str, note: str, tags: Mapping[str, str], at: datetime) -> None:
        """As one text: the note, and the tags below it."""
        listed = Table("", ("tag", "value"), 2, [(name, value) for name, value in tags.items()])
        self._append(run, [text_pb("description", f"{note}\n\n{grid(listed)}" if tags else note)], at)

    def attach(self, run: str, folder: Path, at: datetime, tables: Sequence[str] = ()) -> None:
        """Pictures (PNG) as images and tables as texts; of other files TensorBoard shows nothing.

        Such files are those of a report, which `sigmalab report` has.
        """
        shown = [_table_summary(folder, table) for table in tables]
        shown += [_picture_summary(folder, picture) for picture in sorted(folder.rglob("*.png"))]
        self._append(run, shown, at)

    def close(self, run: str, status: TrialStatus | ExperimentStatus, at: datetime) -> None:
        """HParams are told of a success.

        Of no other end: TensorBoard believes the first one that it reads, and a trial that failed may start again.
        """
        if status == TrialStatus.SUCCEEDED and run.rpartition("/")[2] != SUMMARY:
            info = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=at.timestamp())
            content = plugin_data_pb2.HParamsPluginData(session_end_info=info)
            value = Summary.Value(
                tag=metadata.SESSION_END_INFO_TAG,
                metadata=metadata.create_summary_metadata(content),
                tensor=metadata.NULL_TENSOR,
            )
            self._append(run, [Summary(value=[value])], at)

    def _append(self, run: str, summaries: Sequence[Summary], at: datetime) -> None:
        events = [
            Event(wall_time=at.timestamp(), step=0, summary=Summary(value=[value]))
            for summary in summaries
            for value in summary.value
        ]
        self._write(run, events)

    def _write(self, run: str, events: Sequence[Event]) -> None:
        if run not in self._files:
            self._files[run] = EventFile(self._folder / run / _EVENTS)
        with _translated():
            self._files[run].append(events)


def _table_summary(folder: Path, name: str) -> Summary:
    table = json.loads((folder / name).read_text())
    rows = [tuple("" if cell is None else _shown(cell) for cell in row) for row in table["data"]]
    columns = tuple(table["columns"])
    return text_pb(f"tables/{Path(name).stem}", grid(Table("", columns, len(columns), rows)))


def _shown(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _picture_summary(folder: Path, picture: Path) -> Summary:
    with Image.open(picture) as opened:
        width, height = opened.size
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=picture.read_bytes())
    tag = f"figures/{picture.relative_to(folder).with_suffix('').as_posix()}"
    return Summary(value=[Summary.Value(tag=tag, image=image)])


@contextmanager
def _translated() -> Iterator[None]:
    """What the file system says, as a tracker says it."""
    try:
        yield
    except FileNotFoundError as error:
        raise TrackerRefusedError(f"{error.filename} was removed", is_missing=True) from error
    except DamagedError as error:
        raise TrackerRefusedError(f"{error}; what else was in it is kept", is_missing=True) from error
    except OSError as error:
        raise TrackerUnavailableError(f"{error.filename or 'the folder'} can't be written: {error.strerror}") from error
