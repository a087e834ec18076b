"""Tables in a terminal that is narrow."""

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from api.cli.tables import experiment_table
from orchestrator.service.views import ExperimentView, Progress
from orchestrator.status import ExperimentStatus


def test_only_names_are_cut_in_a_narrow_terminal() -> None:
    def view(name: str) -> ExperimentView:
        return ExperimentView(
            id="1m82prhyhehjf0v",
            name=name,
            digest="d",
            status=ExperimentStatus.SUCCEEDED,
            reason="",
            question="",
            created_at=datetime(2026, 11, 22, 22, 41, tzinfo=UTC),
            updated_at=datetime(2026, 11, 22, 22, 45, tzinfo=UTC),
            ended_at=None,
            attempt=1,
            progress=Progress(
                trials_total=21,
                trials_done=21,
                trials_failed=0,
                trials_reused=0,
                trials_running=0,
                pairs_total=14,
                pairs_complete=14,
            ),
            conditions=(),
            mlflow_url=None,
        )

    text = StringIO()
    Console(file=text, width=80).print(experiment_table([view("n" * 60), view("short")]))
    assert "1m82prhyhehjf0v" in text.getvalue()
    assert "succeeded  14/14  21/21   2026-11-22 22:41" in text.getvalue()
    assert "n…" in text.getvalue()
