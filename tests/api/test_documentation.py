"""The OpenAPI document against the application: generated requests, valid and not, get documented answers only."""

import re

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    ("GET", "/"),
    ("GET", "/schema"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/experiments"),
    ("POST", "/experiments"),
    ("POST", "/experiments/plan"),
    ("GET", "/experiments/{experiment_id}"),
    ("GET", "/experiments/{experiment_id}/trials"),
    ("GET", "/experiments/{experiment_id}/comparisons"),
    ("GET", "/experiments/{experiment_id}/report"),
    ("GET", "/experiments/{experiment_id}/learned-bias"),
    ("GET", "/experiments/{experiment_id}/learned-bias/maps"),
    ("GET", "/experiments/{experiment_id}/learned-bias/{model}/{dataset}/{arm}/{part}/{layer}/{row}_{column}"),
    ("GET", "/experiments/{experiment_id}/receptive-fields"),
    ("GET", "/experiments/{experiment_id}/receptive-fields/maps"),
    ("GET", "/experiments/{experiment_id}/receptive-fields/{model}/{dataset}/{arm}/{moment}/{row}_{column}"),
    ("GET", "/experiments/{experiment_id}/events"),
    ("GET", "/experiments/{experiment_id}/logs"),
    ("GET", "/experiments/{experiment_id}/trials/{trial_id}/logs"),
    ("GET", "/experiments/{experiment_id}/trials/{trial_id}/metrics"),
    ("GET", "/experiments/{experiment_id}/trials/{trial_id}/weights"),
    ("POST", "/experiments/{experiment_id}/cancel"),
    ("POST", "/experiments/{experiment_id}/resume"),
    ("POST", "/experiments/{experiment_id}/extend"),
]


def test_the_list_is_complete(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    documented = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    # Prometheus' own text format.
    assert documented - set(OPERATIONS) == {("GET", "/metrics")}


def test_operations_are_told_apart_and_the_parts_of_a_map_s_address_explained(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    summaries = [operation["summary"] for operations in paths.values() for operation in operations.values()]
    assert len(set(summaries)) == len(summaries)
    of_maps = [operations["get"] for path, operations in paths.items() if path.endswith("{row}_{column}")]
    assert len(of_maps) == 2
    for operation in of_maps:
        assert "Map" not in operation["summary"]
        assert all(parameter["description"] for parameter in operation["parameters"])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_documented(app: FastAPI, http: TestClient, method: str, path: str) -> None:
    operation = schemathesis.openapi.from_dict(app.openapi())[path][method]

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        sent = case.as_transport_kwargs(base_url="http://127.0.0.1")
        sent.pop("cookies", None)
        answer = http.request(**sent)
        # Not being ready is said with 503, on purpose.
        case.validate_response(answer, checks=CHECKS[1:] if path == "/readyz" else CHECKS)

    ask()


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_load_nothing_from_elsewhere(http: TestClient, page: str) -> None:
    """A cluster may have no way out, and a public server's script would speak for the user."""
    text = http.get(page).text
    parts = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert any(part.endswith(".js") for part in parts)
    assert {http.get(part).status_code for part in parts} == {200}
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
