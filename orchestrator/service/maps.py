"""Mean maps of one experiment: read from the files of the trials that they are means of, and of no others."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from orchestrator.arm_labels import arm_labels
from orchestrator.errors import MapNotFoundError
from orchestrator.report.content.position_bias import BiasView, BiasViews
from orchestrator.report.content.receptive_fields import FieldMaps, MeanField
from orchestrator.report.sections.position_bias.building import bias_views_of
from orchestrator.report.sections.receptive_fields.building import field_maps_of
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.store.database import Database
from orchestrator.store.experiments import get_experiment
from orchestrator.stored.position_bias import views_of
from orchestrator.stored.receptive_fields import maps_of
from orchestrator.stored.spec import stored_cells, stored_spec
from orchestrator.stored.trials import StoredTrial, confirm_trials_of, stored_trials

_Mean = TypeVar("_Mean", MeanField, BiasView)
_Place = tuple[str, str]
"""Cell and arm."""


class Maps:
    """Life: made for one question -> asked it. Nothing of a report is built but these means."""

    spec: ExperimentSpec
    """The question, as it is stored."""
    labels: Mapping[str, str]
    """Of its arms that have one: what pictures call them."""

    def __init__(self, database: Database, experiment_id: str, storage: Path | None) -> None:
        """Read the question.

        Args:
            database: the truth.
            experiment_id: which experiment.
            storage: folder of the trials' folders (`None`: it can't be reached from here).

        Raises:
            ExperimentNotFoundError: no such experiment.
        """
        self._database, self._id, self._storage = database, experiment_id, storage
        with database.read() as session:
            self.spec = stored_spec(get_experiment(session, experiment_id))
        self.labels = arm_labels(self.spec.arms)

    def fields(self, *, is_measured: bool = False) -> FieldMaps:
        """The receptive fields of all arms.

        Args:
            is_measured: whether Gaussians are fitted to them, which takes time; else they are arrays only.

        Raises:
            MapNotFoundError: it did not ask for them, has none yet, or none of their files can be read.
        """
        maps, name = self._fields(None, is_measured=is_measured), f"experiment {self._id}"
        if maps is None:
            raise MapNotFoundError(
                f"{name} did not ask for receptive fields; a spec asks with "
                '`"analyses": [{"kind": "receptive_field"}]`'
            )
        if not maps.means and maps.unreadable:
            raise MapNotFoundError(f"the maps of {name} can't be read: {maps.unreadable[0].reason}")
        if not maps.means:
            raise MapNotFoundError(f"{name} has no map yet: no trial that was asked for one has succeeded")
        return maps

    def field(self, key: str) -> MeanField:
        """One receptive field, from the files of its own arm alone.

        Args:
            key: `<model>/<data set>/<arm>/<moment>/<row>_<column>`.

        Raises:
            MapNotFoundError: there is none of this name, or none at all.
        """
        maps = self._fields(_place_of(key), is_measured=False)
        found = {mean.key: mean for mean in maps.means} if maps else {}
        if key in found:
            return found[key]
        # Only all of them can tell why.
        return self._named({mean.key: mean for mean in self.fields().means}, key)

    def views(self) -> BiasViews:
        """What query tokens see of the position biases of all arms.

        Raises:
            MapNotFoundError: no trial has a position bias (yet), or none of their files can be read.
        """
        views, name = self._views(None), f"experiment {self._id}"
        if views is None:
            raise MapNotFoundError(f"{name} has no map yet: no trial with a position bias has succeeded")
        if not views.means:
            reason = views.unreadable[0].reason if views.unreadable else "no trial has stored any"
            raise MapNotFoundError(f"the maps of {name} can't be read: {reason}")
        return views

    def view(self, key: str) -> BiasView:
        """What one token sees of one part of one layer, from the files of its own arm alone.

        Args:
            key: `<model>/<data set>/<arm>/<part>/<layer>/<row>_<column>`.

        Raises:
            MapNotFoundError: there is none of this name, or none at all.
        """
        views = self._views(_place_of(key))
        found = {mean.key: mean for mean in views.means} if views else {}
        if key in found:
            return found[key]
        return self._named({mean.key: mean for mean in self.views().means}, key)

    def _fields(self, place: _Place | None, *, is_measured: bool) -> FieldMaps | None:
        trials = self._trials(place)
        records = [trial.record for trial in trials]
        maps = maps_of(trials, self._storage)
        return field_maps_of(self.spec, stored_cells(self.spec), records, maps, is_measured=is_measured)

    def _views(self, place: _Place | None) -> BiasViews | None:
        trials = self._trials(place)
        records = [trial.record for trial in trials]
        return bias_views_of(self.spec, stored_cells(self.spec), records, views_of(trials, self._storage))

    def _trials(self, place: _Place | None) -> list[StoredTrial]:
        """Confirm trials of one arm in one cell, or all."""
        with self._database.read() as session:
            rows = confirm_trials_of(session, self._id, place)
        return stored_trials(rows)

    def _named(self, means: Mapping[str, _Mean], key: str) -> _Mean:
        if key not in means:
            nearest = ", ".join(map(repr, difflib.get_close_matches(key, means, n=3, cutoff=0.0)))
            raise MapNotFoundError(
                f"experiment {self._id} has no map {key!r}; the nearest of its {len(means)}: {nearest}"
            )
        return means[key]


def _place_of(key: str) -> _Place:
    """Labels of models and data sets, and names of arms, have no slash."""
    model, dataset, arm, *_ = key.split("/")
    return f"{model}/{dataset}", arm
