"""Following an experiment to its end, and what a terminal shows then."""

import typer

from api.cli.readings import ReportReading
from api.cli.report_files import keep_report, print_links
from api.cli.report_tables import print_report
from api.cli.terminal import Exit, complain, err, out, write_json_line
from api.cli.watching import PairWatch
from api.client import Client
from orchestrator.service.views import ExperimentView
from orchestrator.status import ExperimentStatus


def watch_to_end(client: Client, experiment_id: str, *, as_json: bool) -> None:
    """Show an experiment until it ends, then its report and where its files are; Ctrl-C ends the look alone.

    Raises:
        typer.Exit: it did not succeed.
    """
    try:
        view = follow(client, experiment_id, as_json=as_json)
    except KeyboardInterrupt:
        err.print(
            f"\nno longer watching; experiment {experiment_id} goes on. Look again: sigmalab watch {experiment_id}; "
            f"end it: sigmalab cancel {experiment_id}",
            markup=False,
        )
        raise
    if not as_json:
        out.print()
        print_links(keep_report(client, view))
    require_success(view)


def follow(client: Client, experiment_id: str, *, as_json: bool) -> ExperimentView:
    """Show an experiment until it ends, then its report's tables; gives where it stands then."""
    if as_json:
        for event in client.watch(experiment_id):
            write_json_line(event)
    else:
        with PairWatch(client, experiment_id, err) as pairs:
            pairs.follow(client.watch(experiment_id))
        print_report(out, ReportReading.model_validate_json(client.report(experiment_id)))
    return client.get(experiment_id)


def require_success(view: ExperimentView) -> None:
    """Say so if an experiment that has ended did not succeed.

    Raises:
        typer.Exit: it did not.
    """
    if view.status is not ExperimentStatus.SUCCEEDED:
        complain(f"experiment {view.id} {view.status.value}" + (f": {view.reason}" if view.reason else ""))
        raise typer.Exit(Exit.NOT_SUCCEEDED)
