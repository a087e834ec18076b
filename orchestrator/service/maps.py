"""Receptive fields of a report, or why there are none."""

import difflib

from orchestrator.errors import MapNotFoundError
from orchestrator.report import Report
from orchestrator.report.field_content import MeanField, ReceptiveFields


def fields_in(report: Report) -> ReceptiveFields:
    """The experiment's receptive fields with their mean maps.

    Raises:
        MapNotFoundError: it did not ask for them, has none yet, or none of their files can be read.
    """
    fields, name = report.receptive_fields, f"experiment {report.experiment.id}"
    if fields is None:
        raise MapNotFoundError(
            f'{name} did not ask for receptive fields; a spec asks with `"analyses": [{{"kind": "receptive_field"}}]`'
        )
    if not fields.means and fields.unreadable:
        raise MapNotFoundError(f"the maps of {name} can't be read: {fields.unreadable[0].reason}")
    if not fields.means:
        raise MapNotFoundError(f"{name} has no map yet: no trial that was asked for one has succeeded")
    return fields


def field_in(report: Report, key: str) -> MeanField:
    """One mean map.

    Args:
        report: of the experiment.
        key: `<model>/<data set>/<arm>/<moment>/<row>_<column>`.

    Raises:
        MapNotFoundError: there is none of this name, or none at all.
    """
    means = {mean.key: mean for mean in fields_in(report).means}
    if key not in means:
        nearest = ", ".join(map(repr, difflib.get_close_matches(key, means, n=3, cutoff=0.0)))
        raise MapNotFoundError(
            f"experiment {report.experiment.id} has no map {key!r}; the nearest of its {len(means)}: {nearest}"
        )
    return means[key]
