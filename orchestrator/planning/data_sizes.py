"""How many images a published data set will have, before it was prepared."""

from pathlib import Path

from trainers.data.dataset import Dataset
from trainers.data.splitting import SplitSizes


def published_sizes(dataset: Dataset, data_root: Path | None) -> SplitSizes | None:
    """What the manifest of a published set will hold, told by the set's name and protocol.

    Args:
        dataset: any.
        data_root: where relative paths start.

    Returns:
        Images of each split (`None`: it is not a published set, or it is there and tells itself).
    """
    missing = dataset.missing_publication(data_root)
    if missing is None:
        return None
    # Whoever prepares data sets reads MATLAB and Arrow files; few plans need to know what they will find.
    from trainers.data.prepare import SETS  # noqa: PLC0415

    name, _, protocol = missing.rpartition("-")
    published = next((each for each in SETS if each.name == name), None)
    if published is None or protocol not in published.protocols:
        return None
    return published.sizes(protocol)
