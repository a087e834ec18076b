"""What MLflow's client raises, as we say it."""

import pytest

from orchestrator.tracking.mlflow.client import open_client, translated_errors
from orchestrator.tracking.tracker import TrackerUnavailableError


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(TrackerUnavailableError, match=r"127\.0\.0\.1:9/api") as told, translated_errors():
        open_client("http://ann:secret@127.0.0.1:9").search_experiments()
    assert "secret" not in str(told.value)
