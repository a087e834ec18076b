"""A folder of a published data set that is not here yet."""

from pathlib import Path

from trainers.errors import DataError
from trainers.fence import is_folder, reach


def missing_folder(path: str, data_root: Path | None, *, label: str) -> str | None:
    """Name of the published set that belongs there, told by the folder's own name.

    Args:
        path: the folder, as a spec names it.
        data_root: where a relative path starts (`None`: the current folder).
        label: of the data set, such as `coco`.

    Returns:
        `<set>-official`, as such folders hold no other protocol (`None`: the folder is here, or may not be looked at).
    """
    try:
        return None if is_folder(reach(path, data_root)) else f"{label}-official"
    except DataError:
        return None
