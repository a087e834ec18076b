"""Receptive fields of a report, or why there are none."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from orchestrator.errors import MapNotFoundError
from orchestrator.report import Report
from orchestrator.report.bias_content import BiasView, BiasViews
from orchestrator.report.field_content import MeanField, ReceptiveFields

_Mean = TypeVar("_Mean", MeanField, BiasView)


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
    return _named({mean.key: mean for mean in fields_in(report).means}, key, report)


def views_in(report: Report) -> BiasViews:
    """What query tokens see of the experiment's position biases.

    Raises:
        MapNotFoundError: no trial has a position bias (yet), or none of their files can be read.
    """
    views, name = report.bias_views, f"experiment {report.experiment.id}"
    if views is None:
        raise MapNotFoundError(f"{name} has no map yet: no trial with a position bias has succeeded")
    if not views.means:
        reason = views.unreadable[0].reason if views.unreadable else "no trial has stored any"
        raise MapNotFoundError(f"the maps of {name} can't be read: {reason}")
    return views


def view_in(report: Report, key: str) -> BiasView:
    """One mean map.

    Args:
        report: of the experiment.
        key: `<model>/<data set>/<arm>/<part>/<layer>/<row>_<column>`.

    Raises:
        MapNotFoundError: there is none of this name, or none at all.
    """
    return _named({mean.key: mean for mean in views_in(report).means}, key, report)


def _named(means: Mapping[str, _Mean], key: str, report: Report) -> _Mean:
    if key not in means:
        nearest = ", ".join(map(repr, difflib.get_close_matches(key, means, n=3, cutoff=0.0)))
        raise MapNotFoundError(
            f"experiment {report.experiment.id} has no map {key!r}; the nearest of its {len(means)}: {nearest}"
        )
    return means[key]
