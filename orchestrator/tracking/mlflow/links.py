"""Links into MLflow's pages. Pure: importing this loads no MLflow."""

from urllib.parse import quote

NAME = "mlflow"
"""MLflow among the trackers."""
# Without it MLflow opens its pages for language models, with a dialog on top.
_WORKFLOW = "workflowType=machine_learning"


def experiment_link(tracking_uri: str, mlflow_experiment_id: str) -> str:
    """All runs of an MLflow experiment."""
    return f"{_page(tracking_uri, mlflow_experiment_id)}/runs?{_WORKFLOW}"


def chart_link(tracking_uri: str, mlflow_experiment_id: str, experiment_id: str) -> str:
    """Curves of one experiment's trials, pair by pair, each arm in its colour.

    Several of our experiments may share the name, and so the MLflow experiment: the filter picks one.
    """
    runs = quote(f"tags.`sigmalab.experiment_id` = '{experiment_id}' and tags.phase = 'confirm'")
    order = "orderByKey=tags.%60pair%60&orderByAsc=true"
    return f"{experiment_link(tracking_uri, mlflow_experiment_id)}&searchFilter={runs}&{order}&compareRunsMode=CHART"


def _page(tracking_uri: str, mlflow_experiment_id: str) -> str:
    return f"{tracking_uri.rstrip('/')}/#/experiments/{quote(mlflow_experiment_id)}"
