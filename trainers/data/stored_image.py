"""Where the bytes of one image are: a file of their own, a stretch of a tar shard, or a row of a Parquet shard."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainers.packages import needed_for

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

NUM_ROW_GROUPS_KEPT = 8
"""Per process; a row group of ImageNet's is 100 images, about 11 MiB."""


class StoredImage(NamedTuple):
    """The place of one image below a data set's folder."""

    path: str
    """The image's file; inside a shard, its name there. With forward slashes."""
    shard: str = ""
    """The `.tar` or `.parquet` file that holds it; empty for a file of its own."""
    offset: int = 0
    """Tar: the first byte. Parquet: the row. A file of its own: 0."""
    size: int = 0
    """Bytes (0: not known yet)."""

    def __str__(self) -> str:
        """How messages name it."""
        return f"{self.path} in {self.shard}" if self.shard else self.path


def read_stored_image(folder: Path, image: StoredImage, real: Path | None = None) -> bytes:
    """The image's bytes, as they were downloaded.

    Args:
        folder: the data set's.
        image: its place there.
        real: where the file or shard was found to lead, links followed (`None`: wherever it does).

    Raises:
        OSError: the file or shard can't be read, or is shorter than it was.
    """
    shard = folder / (image.shard or image.path) if real is None else real
    if not image.shard:
        return shard.read_bytes()
    try:
        # The name says what it is: a cache that links to its blobs gives these no ending.
        is_parquet = image.shard.endswith(".parquet")
        return _from_parquet(shard, image.offset) if is_parquet else _from_tar(shard, image)
    # Arrow's complaint about broken content is a ValueError.
    except (ValueError, KeyError, IndexError) as error:
        raise OSError(f"{shard} is not the shard that it was: {error}") from error


def _from_tar(shard: Path, image: StoredImage) -> bytes:
    with shard.open("rb") as file:
        file.seek(image.offset)
        return file.read(image.size)


def _from_parquet(shard: Path, row: int) -> bytes:
    modified_ns = shard.stat().st_mtime_ns
    with needed_for("pyarrow", f"to read {shard.name}"):
        metadata = _metadata(shard, modified_ns)
    for group in range(metadata.num_row_groups):
        num_rows = metadata.row_group(group).num_rows
        if row < num_rows:
            content = _row_group(shard, modified_ns, group)[row].as_py()
            if content is None:
                raise OSError(f"row {row} of row group {group} of {shard} has no image bytes")
            return bytes(content)
        row -= num_rows
    raise IndexError(f"it has no row {row} more")


@lru_cache(maxsize=512)
def _metadata(shard: Path, modified_ns: int) -> "pq.FileMetaData":
    import pyarrow.parquet as pq

    return pq.read_metadata(shard)


@lru_cache(maxsize=NUM_ROW_GROUPS_KEPT)
def _row_group(shard: Path, modified_ns: int, group: int) -> "pa.ChunkedArray":
    """The bytes of all images of a row group, as long as the file does not change.

    The file is opened anew each time: a reader must be shared neither between threads nor with a forked process.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(shard, metadata=_metadata(shard, modified_ns)) as file:
        table = file.read_row_group(group, columns=["image.bytes"], use_threads=False)
    return pa.chunked_array([chunk.field("bytes") for chunk in table.column("image").chunks])
