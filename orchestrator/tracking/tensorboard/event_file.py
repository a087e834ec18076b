"""One event file: records that are only ever appended, each event once, whoever dies in the middle.

The file itself says what it holds: no note apart from it can be behind it or ahead of it. A record is its length, a
checksum of that, a serialized `Event`, and a checksum of that (TensorFlow's TFRecord format).
"""

import fcntl
import hashlib
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

_FILE_VERSION = "brain.Event:2"
_HEADER, _FOOTER = struct.Struct("<QI"), struct.Struct("<I")

_Key = tuple[str, int, float]
"""Tag, step, time."""


class DamagedError(Exception):
    """Records of the file could not be read. They are out of it now; what they held has to be sent again."""


class EventFile:
    """Appends events to a file that others may append to as well, one at a time."""

    def __init__(self, file: Path) -> None:
        """`file`: made when something is appended; its folder has to be there."""
        self._file = file
        # What is known of the file's first bytes.
        self._identity: tuple[int, int] | None = None
        self._end = 0
        self._held: dict[_Key, bytes] = {}

    def append(self, events: Sequence[Event]) -> None:
        """Add those that the file does not hold, and wait until the disk has them.

        A text or picture is held where it is the newest one of its tag, step and time.

        Raises:
            DamagedError: there was something in it that is not a record; nothing was added.
            OSError: the folder is not there, or can't be written.
        """
        with self._locked() as opened:
            self._look(opened)
            held = dict(self._held)
            records = [event for event in events if _note(held, event)]
            if not records:
                return
            if not self._end:
                records.insert(0, _beginning(records[0]))
            opened.seek(self._end)
            opened.write(_written(records))
            opened.flush()
            os.fsync(opened.fileno())
            self._end, self._held = opened.tell(), held

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        while True:
            # Others may read it whom the process's umask lets.
            with os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX)
                # Whoever had it until now may have put another one in its place.
                if _is_same(self._file, opened):
                    yield opened
                    return

    def _look(self, opened: BinaryIO) -> None:
        """Read what was appended since; cut off what a process that was killed left of a record.

        Raises:
            DamagedError: see `append`.
        """
        found = os.fstat(opened.fileno())
        if self._identity != (found.st_dev, found.st_ino) or found.st_size < self._end:
            self._identity, self._end, self._held = (found.st_dev, found.st_ino), 0, {}
        if found.st_size == self._end:
            return
        opened.seek(self._end)
        rest = opened.read()
        start = 0
        while (record := _record_at(rest, start)) is not None:
            if record.event.HasField("summary"):
                _note(self._held, record.event)
            start = record.end
        self._end += start
        if not _is_begun(rest, start):
            self._take_damage_out(opened)
        opened.truncate(self._end)

    def _take_damage_out(self, opened: BinaryIO) -> None:
        """Another file in the place of this one, with all that can be read of it.

        Values of long ago may be nowhere else: the store keeps single epochs for a while only.

        Raises:
            DamagedError: always, once it is done.
        """
        opened.seek(0)
        kept = [event for event in _readable(opened.read()) if event.HasField("summary")]
        draft = self._file.with_name(f".draft-{secrets.token_hex(8)}")
        try:
            with draft.open("xb") as written:
                written.write(_written([_beginning(kept[0]), *kept] if kept else []))
                written.flush()
                os.fsync(written.fileno())
            draft.replace(self._file)
        finally:
            draft.unlink(missing_ok=True)
        self._identity = None
        raise DamagedError(f"records of {self._file} were damaged")


def _is_same(file: Path, opened: BinaryIO) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(opened.fileno()))
    except FileNotFoundError:
        return False


class _Record(NamedTuple):
    event: Event
    end: int
    """Of its bytes."""


def _record_at(data: bytes, start: int) -> _Record | None:
    """The record that begins there (`None`: there is no whole one)."""
    length = _length_at(data, start)
    if length is None:
        return None
    end = start + _HEADER.size + length + _FOOTER.size
    if end > len(data):
        return None
    body = data[start + _HEADER.size : end - _FOOTER.size]
    if _FOOTER.unpack_from(data, end - _FOOTER.size)[0] != masked_crc32c(body):
        return None
    return _Record(Event.FromString(body), end)


def _length_at(data: bytes, start: int) -> int | None:
    """What the header there says (`None`: there is no whole header)."""
    if start + _HEADER.size > len(data):
        return None
    length, checksum = _HEADER.unpack_from(data, start)
    return int(length) if checksum == masked_crc32c(data[start : start + 8]) else None


def _is_begun(data: bytes, start: int) -> bool:
    """Whether the rest may be the beginning of a record that somebody was killed over."""
    if start + _HEADER.size > len(data):
        return True
    length = _length_at(data, start)
    return length is not None and start + _HEADER.size + length + _FOOTER.size > len(data)


def _readable(data: bytes) -> Iterator[Event]:
    """All events of a damaged file, wherever they begin."""
    start = 0
    while start + _HEADER.size <= len(data):
        record = None
        # A length first: next to none of other bytes pass for one, and checksums take long.
        if _HEADER.unpack_from(data, start)[0] <= len(data) - start:
            record = _record_at(data, start)
        if record is not None:
            yield record.event
        start = start + 1 if record is None else record.end


def _written(events: Iterable[Event]) -> bytes:
    buffer = BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _beginning(first: Event) -> Event:
    return Event(wall_time=first.wall_time, file_version=_FILE_VERSION)


def _note(held: dict[_Key, bytes], event: Event) -> bool:
    """Note an event as the newest of its key; gives whether it is new."""
    (value,) = event.summary.value
    key, shown = (value.tag, event.step, event.wall_time), _shown(value)
    is_new = held.get(key) != shown
    held[key] = shown
    return is_new


def _shown(value: Summary.Value) -> bytes:
    """What may differ between two events of one key: a picture or a text, but no scalar.

    HParams have an empty tensor, and TensorBoard believes the first of them. What they say is beside it, in an order
    that is another one in every process.
    """
    if value.HasField("image"):
        return hashlib.sha256(value.image.SerializeToString(deterministic=True)).digest()
    if value.HasField("tensor"):
        return hashlib.sha256(value.tensor.SerializeToString(deterministic=True)).digest()
    return b""
