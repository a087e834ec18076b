"""From a spec to its trials: every cell x arm is validated once, every seed is a cheap copy.

Expansion(spec) -> cells, searches, confirm_trials(chosen params), search_trial(...), digest
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from orchestrator.code_of_arms import code_of
from orchestrator.errors import Problem, SpecError
from orchestrator.planning.cells import SpecCell, cells_of
from orchestrator.planning.composition import (
    Composition,
    InvalidTrialError,
    PatchSource,
    json_of,
    validated_trial,
)
from orchestrator.planning.data_sizes import published_sizes
from orchestrator.planning.findings import Findings
from orchestrator.planning.planned import PlannedSearch, PlannedTrial
from orchestrator.planning.point import with_point
from orchestrator.planning.space_rules import of_other_kinds, space_complaints
from orchestrator.planning.stem import Stem
from orchestrator.planning.trial_rules import broken_rules, fields_with_own_code, own_code_complaints
from orchestrator.search.space import Params
from orchestrator.spec.complaints import Path as Place
from orchestrator.spec.complaints import complaints_of, json_pointer
from orchestrator.spec.experiment import Arm, ExperimentSpec
from orchestrator.spec.patch import UnknownPathError
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase
from trainers.config import TrialConfig, canonical_json
from trainers.data.account import DataAccount
from trainers.data.splitting import SplitSizes
from trainers.data.survey import Survey, require_readable
from trainers.errors import CheckpointError, DataError, OwnCodeError
from trainers.export_note import ExportNote, note_of
from trainers.kinds import DatasetConfig
from trainers.models.weights_file import WeightsFile
from trainers.own_code.asking import require_it_fits
from trainers.own_code.place import own_code_here
from trainers.own_code.python_object import own_modules_of
from trainers.strict_json import JsonObject
from trainers.version import code_version

ABSENT = "absent"
"""Stands for the fingerprint of data that are not there, in a preview."""

CellArm = tuple[str, str]
"""Cell key and name of the arm."""


class _Weights(NamedTuple):
    """A file of weights that was looked at, or none."""

    trouble: str | None = None
    """Why it could not be loaded."""
    note: ExportNote | None = None
    """What it says of itself."""


class Expansion:
    """A valid spec with all that it implies.

    Attributes:
        spec: the spec.
        cells: models x data sets, model by model (see `orchestrator.planning.cells` for their labels).
        searches: searches to run before the confirm phase, cell by cell.
        dataset_fingerprints: label of a data set -> digest of its data; `<cell key>/<arm>` -> digest of the data that
            a patch gives to that arm instead.
        data_found: the same names -> what was found where the data lie, in one line; only of data that lie somewhere.
        digest: names the result: 20 hex digits over the spec, the code that its trials use and the data.
        absent_data: in a preview, labels of the data sets of which only the published size is known.
    """

    def __init__(self, spec: ExperimentSpec, *, data_root: Path | None, is_preview: bool = False) -> None:
        """Validate every trial that the spec implies.

        Args:
            spec: the spec.
            data_root: where relative paths of data sets start.
            is_preview: whether a published data set may be absent: a study is planned before ImageNet is fetched.
                Its digests are then preliminary, and `absent_data` says so.

        Raises:
            SpecError: with all problems; each names the arm and the cell and points into the spec.
        """
        self.spec = spec
        self.data_root, self._is_preview = data_root, is_preview
        self.absent_data: tuple[str, ...] = ()
        self._findings = Findings()
        self._surveys: dict[tuple[DatasetConfig, Path | None], Survey | None] = {}
        self._weights: dict[WeightsFile, _Weights] = {}
        self._arms = (spec.control, *spec.treatments)
        self._stems = self._validated_stems(cells_of(spec, self._findings))
        self._findings.raise_if_any()
        self.cells: tuple[Cell, ...] = tuple({stem.cell.key: stem.cell for stem in self._stems.values()}.values())
        self.searches = tuple(
            PlannedSearch(cell=cell, arm=arm.name, num_candidates=arm.search.num_points, seeds=arm.search.seeds)
            for cell in self.cells
            for arm in self._arms
            if arm.search
        )
        self.dataset_fingerprints = self._named_fingerprints()
        self.data_found = self._named_accounts()
        self.digest = self._digest()

    def confirm_trials(
        self, chosen: Mapping[CellArm, Params], reach: Mapping[CellArm, int] | None = None
    ) -> tuple[PlannedTrial, ...]:
        """Trials of the confirm phase in pair order: seed by seed, cell by cell, the control first.

        Args:
            chosen: (cell key, arm) -> params that the search chose; a searched arm that is not here is left out.
            reach: (cell key, arm) -> so many of the seeds (`None`: all seeds, everywhere).

        Raises:
            SpecError: chosen params make no valid trial.
        """
        searched = {arm.name for arm in self._arms if arm.search}
        stems = [
            self._with_params(stem, chosen[key]) if stem.arm in searched else stem
            for key, stem in self._stems.items()
            if key in chosen or stem.arm not in searched
        ]
        return tuple(
            stem.trial(seed, Phase.CONFIRM)
            for place, seed in enumerate(self.spec.seeds)
            for stem in stems
            if reach is None or place < reach[stem.cell.key, stem.arm]
        )

    @property
    def first_reach(self) -> dict[CellArm, int] | None:
        """Seeds of every cell and arm in the first stage (`None`: there is one stage alone).

        Until the first planned look, or until sds are known.
        """
        looks, allocation = self.spec.planned_looks, self.spec.allocation
        if allocation is not None:
            return dict.fromkeys(self._stems, allocation.first)
        return None if looks is None else dict.fromkeys(self._stems, looks.at[0])

    def search_trial(self, cell: Cell, arm_name: str, params: Params, seed: int) -> PlannedTrial:
        """One trial of the search phase; it never scores the test split.

        Raises:
            SpecError: the params make no valid trial.
        """
        stem = self._with_params(self._stems[cell.key, arm_name], params, score_test=False)
        return stem.trial(seed, Phase.SEARCH)

    def config_of(self, cell: Cell, arm_name: str) -> TrialConfig:
        """The config of a cell and arm, without params and with any seed."""
        return self._stems[cell.key, arm_name].config

    def sizes_of(self, dataset: DatasetConfig) -> SplitSizes:
        """Images of each split of a data set that some trial uses (of own code: of the arm that holds here)."""
        survey = self._surveys[_with_place(dataset)]
        assert survey is not None  # a finding, else
        return survey.sizes

    # ---- validation ----

    def _validated_stems(self, cells: list[SpecCell]) -> dict[CellArm, Stem]:
        """Every valid cell x arm, cell by cell, the control first; what is invalid goes to the findings."""
        models: list[JsonObject] = [json_of(model) for model in self.spec.models]
        datasets: list[JsonObject] = [json_of(dataset) for dataset in self.spec.datasets]
        shared: JsonObject = {
            "task": json_of(self.spec.task),
            "augmentation": json_of(self.spec.augmentation),
            "mixing": json_of(self.spec.mixing),
            "normalization": self.spec.normalization,
            "optimization": json_of(self.spec.optimization),
            "analyses": [json_of(analysis) for analysis in self.spec.analyses],
        }
        arms = {arm.name: (f"/arms/{i}", arm) for i, arm in enumerate(self.spec.arms)}
        stems: dict[CellArm, Stem] = {}
        for cell in cells:
            base: JsonObject = {**shared, "model": models[cell.model_index], "dataset": datasets[cell.dataset_index]}
            pointers = {
                **{field: f"/{field}" for field in shared},
                "model": f"/models/{cell.model_index}",
                "dataset": f"/datasets/{cell.dataset_index}",
            }
            arm_by_text: dict[str, str] = {}
            for name in (arm.name for arm in self._arms):
                pointer, arm = arms[name]
                sources = (*cell.patches, PatchSource(f"{pointer}/patch", arm.patch))
                with code_of(name):
                    stem = self._stem(Composition(base, pointers, sources, self.spec.recipe), cell.cell, arm, pointer)
                if stem is not None:
                    stems[cell.cell.key, name] = stem
                    self._find_twin(stem, arm, pointer, arm_by_text)
        return stems

    def _stem(self, composition: Composition, cell: Cell, arm: Arm, arm_pointer: str) -> Stem | None:
        try:
            config = composition.validate()
        except InvalidTrialError as error:
            for pointer, message in error.complaints:
                self._findings.add_for_trial(pointer, message, cell=cell, arm=arm.name)
            return None
        pointer = composition.pointer_to(("dataset",))
        troubles, survey = self._own_code_and_data(config, pointer)
        for path, message in troubles:
            self._findings.add_for_trial(composition.pointer_to(path), message, cell=cell, arm=arm.name)
        if troubles:
            return None
        num_train = None if survey is None else survey.sizes.train
        self._check_weights(config, composition, cell, arm)
        for path, message in broken_rules(config, self.spec.resources, arm.search, num_train=num_train):
            self._findings.add_for_trial(composition.pointer_to(path), message, cell=cell, arm=arm.name)
        if arm.search is not None:
            for path, message in space_complaints(config, arm.search, self.spec.resources, num_train=num_train):
                place = f"{arm_pointer}/search{json_pointer(path)}"
                self._findings.add_for_trial(place, message, cell=cell, arm=arm.name)
        if survey is None:
            return None
        if survey.account is not None:
            self._check_account(survey.account, config, pointer)
        return Stem(cell, arm.name, {}, config, survey.fingerprint)

    def _own_code_and_data(self, config: TrialConfig, pointer: str) -> tuple[list[tuple[Place, str]], Survey | None]:
        """What is wrong with the user's own code in a trial, and what is known of its data (`None`: nothing)."""
        troubles = [*own_code_complaints(config), *self._task_troubles(config)]
        if troubles:
            # What is not there, or may not be run, is not asked for data either.
            return troubles, None
        survey = self._survey(config.dataset, pointer)
        # A loss must fit the data.
        return [] if survey is None else _misfits(config, self.data_root, survey), survey

    def _task_troubles(self, config: TrialConfig) -> list[tuple[Place, str]]:
        """A program of the user's own must be compared with others whose numbers are read alike."""
        if not (config.task.runs_itself or self.spec.task.runs_itself) or config.task == self.spec.task:
            return []
        message = "what is read of a command is one for all arms: write `task` beside `arms`, and leave it out here"
        return [(("task",), message)]

    def _check_weights(self, config: TrialConfig, composition: Composition, cell: Cell, arm: Arm) -> None:
        weights, pointer = self._weights_of(config), composition.pointer_to(("model", "weights"))
        if weights.trouble is not None:
            self._findings.add(pointer, weights.trouble)
        elif (trouble := _trouble_with_note(weights.note, config)) is not None:
            self._findings.add_for_trial(pointer, trouble, cell=cell, arm=arm.name)

    def _weights_of(self, config: TrialConfig) -> "_Weights":
        """The file of weights that a trial starts from; looked at once."""
        weights = config.model.weights
        if weights is None:
            return _Weights()
        if weights not in self._weights:
            try:
                self._weights[weights] = _Weights(note=note_of(weights.verified(self.data_root)))
            except CheckpointError as error:
                self._weights[weights] = _Weights(trouble=str(error))
        return self._weights[weights]

    def _check_account(self, account: DataAccount, config: TrialConfig, pointer: str) -> None:
        """What every trial would fail at, some minutes from now."""
        try:
            config.task.require_classes(
                account.num_classes, epochs=config.optimization.epochs, label=config.dataset.label
            )
            require_readable(account, label=config.dataset.label)
        except DataError as error:
            self._findings.add(pointer, str(error))

    def _find_twin(self, stem: Stem, arm: Arm, arm_pointer: str, arm_by_text: dict[str, str]) -> None:
        """Two arms that train the same thing differ by exactly 0, whatever the question was."""
        if arm.search is not None:
            return
        # Of two commits, the code is all that differs.
        is_by_code = any(each.code is not None for each in self.spec.arms)
        first = arm_by_text.setdefault(f"{stem.text}{stem.code if is_by_code else ''}", arm.name)
        if first != arm.name and arm.code is not None:
            message = (
                f"this code makes the same trial as arm `{first}`: nothing that differs between the two is imported by "
                "what the arm names, or all of it does the same"
            )
            self._findings.add_for_trial(f"{arm_pointer}/code", message, cell=stem.cell, arm=arm.name)
        elif first != arm.name:
            message = f"this patch makes the same trial as arm `{first}`, so there is nothing to compare"
            self._findings.add_for_trial(f"{arm_pointer}/patch", message, cell=stem.cell, arm=arm.name)

    def _survey(self, dataset: DatasetConfig, pointer: str) -> Survey | None:
        """What is known of the data, asked for once per data set; `None` after a finding."""
        key = _with_place(dataset)
        if key not in self._surveys:
            try:
                self._surveys[key] = dataset.survey(self.data_root)
            except (DataError, OwnCodeError) as error:
                sizes = published_sizes(dataset, self.data_root) if self._is_preview else None
                if sizes is not None:
                    self._surveys[key] = Survey(ABSENT, sizes, None)
                    self.absent_data += (dataset.label,)
                else:
                    self._surveys[key] = None
                    self._findings.add(pointer, str(error))
        return self._surveys[key]

    # ---- what follows from valid stems ----

    def _with_params(self, stem: Stem, params: Params, *, score_test: bool = True) -> Stem:
        document = {**json_of(stem.config), "score_test": score_test}
        if not score_test:
            # A search judges by validation scores alone.
            document["analyses"] = []
        where = f"arm `{stem.arm}` in cell `{stem.cell.key}` with params {params}"
        try:
            config = validated_trial(with_point(document, params))
        except UnknownPathError as error:
            raise SpecError([Problem("", f"{where}: {error}")]) from None
        except ValidationError as error:
            raise SpecError(
                [Problem("", f"{where}: {text}") for _, text in complaints_of(error, TrialConfig)]
            ) from None
        return Stem(stem.cell, stem.arm, params, config, stem.data_fingerprint)

    def _named_fingerprints(self) -> dict[str, str]:
        named: dict[str, str] = {}
        for stem in self._stems.values():
            if named.setdefault(stem.cell.dataset, stem.data_fingerprint) != stem.data_fingerprint:
                named[f"{stem.cell.key}/{stem.arm}"] = stem.data_fingerprint
        return named

    def _named_accounts(self) -> dict[str, str]:
        named: dict[str, str] = {}
        for stem in self._stems.values():
            with code_of(stem.arm):
                survey = self._surveys[_with_place(stem.config.dataset)]
            if survey is not None and survey.account is not None:
                line = str(survey.account)
                if named.setdefault(stem.cell.dataset, line) != line:
                    named[f"{stem.cell.key}/{stem.arm}"] = line
        return named

    def _digest(self) -> str:
        data = [f"{name}={digest}" for name, digest in sorted(self.dataset_fingerprints.items())]
        # Where own code was taken from is not the question, and what of it is used is in the codes.
        arms = tuple(arm.model_copy(update={"code": None}) for arm in self.spec.arms)
        asked = self.spec.model_copy(update={"code": None, "arms": arms})
        text = "\n".join((canonical_json(asked), *sorted(self._codes()), *self._codes_by_arm(), *data))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def _codes(self) -> set[str]:
        """Versions of the code behind every trial, those that a search may propose included."""
        codes = {stem.code for stem in self._stems.values()}
        searches = {arm.name: arm.search for arm in self._arms if arm.search}
        for stem in self._stems.values():
            if stem.arm in searches:
                with code_of(stem.arm):
                    codes.update(map(code_version, of_other_kinds(stem.config, searches[stem.arm].space)))
        return codes

    def _codes_by_arm(self) -> list[str]:
        """Which arm has which, where that is not in its patch."""
        if all(arm.code is None for arm in self.spec.arms):
            return []
        return sorted(f"{stem.cell.key}/{stem.arm}={stem.code}" for stem in self._stems.values())


def _with_place(dataset: DatasetConfig) -> tuple[DatasetConfig, Path | None]:
    """Two versions of own code may have two data sets of one name; others are read once."""
    is_own = any(True for _ in own_modules_of(dataset))
    return dataset, own_code_here().folder if is_own else None


def _misfits(config: TrialConfig, data_root: Path | None, survey: Survey) -> list[tuple[Place, str]]:
    """Place in the trial and what is wrong with the user's own code there, tried."""
    num_classes = None if survey.account is None else survey.account.num_classes
    try:
        require_it_fits(config, data_root, num_classes=num_classes)
    except OwnCodeError as error:
        return [((error.field or next(fields_with_own_code(config)),), str(error))]
    return []


def _trouble_with_note(note: ExportNote | None, config: TrialConfig) -> str | None:
    """What every trial would end with, after those of the other arms were trained."""
    weights = config.model.weights
    if note is None or weights is None:
        return None
    return config.model.trouble_with(note.model, weights.path) or config.attention_bias.trouble_with(
        note.attention_bias, weights.path
    )
