"""A plan, with what the database knows of trials like its own."""

from pathlib import Path

from orchestrator.planning.expansion import Expansion
from orchestrator.planning.hardware import Hardware
from orchestrator.planning.plan import Plan, plan_of
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.store.database import Database
from orchestrator.store.progress import median_seconds_by_cell
from orchestrator.store.trials import finished_identities


def preview(spec: ExperimentSpec, database: Database, *, data_root: Path | None) -> Plan:
    """What the spec would do, take and show. Nothing is written.

    Raises:
        SpecError: with all problems.
        StoreError: the database does not answer.
    """
    expansion = Expansion(spec, data_root=data_root, is_preview=True)
    identities = {trial.identity for trial in expansion.confirm_trials({})}
    hardware = Hardware.asked_for(spec.resources)
    with database.read() as session:
        finished = finished_identities(session, identities, hardware)
        configs = {cell.key: [expansion.config_of(cell, arm.name) for arm in spec.arms] for cell in expansion.cells}
        # A command's rows are not epochs of the spec's number.
        num_epochs = 0 if spec.task.runs_itself else spec.optimization.epochs
        seconds = median_seconds_by_cell(
            session,
            configs,
            num_epochs,
            hardware,
            accelerator_type=spec.resources.accelerator_type,
        )
    return plan_of(expansion, finished=finished, seconds_per_trial=seconds)
