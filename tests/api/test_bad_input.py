"""Every way to ask for nonsense over HTTP, with the message that the asker gets."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from api.app import create_app
from api.body import MAX_BODY_BYTES
from orchestrator.settings import Settings
from tests.api.conftest import JsonObject

JSON = {"Content-Type": "application/json"}


def problem_of(answer: Response, status: int, code: str) -> JsonObject:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: JsonObject = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"]
    return problem


def refused(http: TestClient, spec: object) -> dict[str, str]:
    """Pointer -> message of a spec that is refused, by `plan` and by `submit` alike."""
    answers = [http.post(path, json=spec) for path in ("/experiments", "/experiments/plan")]
    problems = [problem_of(answer, 422, "spec_invalid") for answer in answers]
    assert problems[0]["errors"] == problems[1]["errors"]
    assert http.get("/experiments").json()["items"] == []
    return {error["pointer"]: error["detail"] for error in problems[0]["errors"]}


def arms(*roles: str) -> list[JsonObject]:
    return [{"name": f"arm{index}", "role": role} for index, role in enumerate(roles)]


SEARCH = {"space": {"attention_bias.sigma": {"kind": "log_uniform", "low": 0.5, "high": 8.0}}, "seeds": [100]}
GAUSSIAN = {"kind": "gaussian"}


def searched(search: JsonObject) -> list[JsonObject]:
    return [*arms("control"), {"name": "gaussian", "patch": {"attention_bias": GAUSSIAN}, "search": SEARCH | search}]


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        pytest.param({"sedes": [1]}, "/sedes", ["unknown field", "seeds"], id="unknown field"),
        pytest.param({"name": 3}, "/name", ["text", "3"], id="wrong type"),
        pytest.param({"seeds": "0"}, "/seeds", ["list"], id="wrong type of a list"),
        pytest.param({"models": [{"kind": "smal_vit"}]}, "/models/0/kind", ["smal_vit", "small_vit"], id="model kind"),
        pytest.param(
            {"models": [{"kind": "timm", "name": "vit_relpos_smal_patch16_224"}]},
            "/models/0/name",
            ["vit_relpos_small_patch16_224"],
            id="model name",
        ),
        pytest.param({"datasets": [{"kind": "digit"}]}, "/datasets/0/kind", ["digit", "digits"], id="data set"),
        pytest.param({"arms": arms("control", "control")}, "/arms/1/role", ["control", "one"], id="two controls"),
        pytest.param({"arms": arms("treatment", "treatment")}, "/arms", ["control"], id="no control"),
        pytest.param({"seeds": [0, 1, 0]}, "/seeds/2", ["seed 0", "twice"], id="duplicate seeds"),
        pytest.param({"seeds": []}, "/seeds", ["empty"], id="no seeds"),
        pytest.param({"models": []}, "/models", ["empty"], id="no models"),
        pytest.param({"datasets": []}, "/datasets", ["empty"], id="no data sets"),
        pytest.param(
            {"arms": searched({"seeds": [2, 100]})}, "/arms/1/search/seeds/0", ["seed 2"], id="search and confirm seeds"
        ),
        pytest.param(
            {"arms": searched({"space": {"attention_bias.sigma": {"kind": "uniform", "low": -1.0, "high": 2.0}}})},
            "/arms/1/search/space/attention_bias.sigma/low",
            ["gaussian"],
            id="space outside its domain",
        ),
        pytest.param(
            {"arms": searched({"space": {"attention_bias.sigmma": {"kind": "uniform", "low": 1.0, "high": 2.0}}})},
            "/arms/1/search/space/attention_bias.sigmma",
            ["sigma"],
            id="space of an unknown field",
        ),
        pytest.param(
            {"models": [{"kind": "small_vit", "width": 10**6}]}, "/models/0/width", ["at most 4096"], id="absurd width"
        ),
        pytest.param({"seeds": list(range(10_001))}, "/seeds", ["10,000"], id="absurdly many seeds"),
        pytest.param({"seeds": [2**31]}, "/seeds/0", ["below"], id="absurd seed"),
        pytest.param({"resources": {"num_workers": 0}}, "/resources/num_workers", ["at least 1"], id="no workers"),
        pytest.param(
            {"arms": [*arms("control"), {"name": "bad", "patch": {"attention_bias": GAUSSIAN | {"sigma": -1}}}]},
            "/arms/1/patch/attention_bias/sigma",
            ["bad", "above"],
            id="patch",
        ),
    ],
)  # fmt: skip
def test_a_spec_that_is_refused(
    http: TestClient, spec: JsonObject, change: JsonObject, pointer: str, words: list[str]
) -> None:
    errors = refused(http, spec | change)
    assert pointer in errors, errors
    for word in words:
        assert word in errors[pointer]


def test_all_problems_come_at_once(http: TestClient, spec: JsonObject) -> None:
    errors = refused(http, spec | {"name": "NO", "seeds": [], "sedes": 1})
    assert set(errors) == {"/name", "/seeds", "/sedes"}


def test_a_missing_data_folder(http: TestClient, spec: JsonObject, tmp_path: Path) -> None:
    errors = refused(http, spec | {"datasets": [{"kind": "folder", "path": str(tmp_path / "nowhere")}]})
    (message,) = errors.values()
    assert "nowhere" in message


def test_a_folder_without_images(http: TestClient, spec: JsonObject, tmp_path: Path) -> None:
    tmp_path.joinpath("images").mkdir()
    errors = refused(http, spec | {"datasets": [{"kind": "folder", "path": str(tmp_path / "images")}]})
    (message,) = errors.values()
    assert str(tmp_path / "images") in message


def test_broken_json_says_where(http: TestClient) -> None:
    answer = http.post("/experiments", content=b'{"name": "x",\n "seeds": [1,}', headers=JSON)
    assert "line 2" in problem_of(answer, 400, "json_invalid")["detail"]


@pytest.mark.parametrize("text", [b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff\xfe", b"[" * 100_000])
def test_text_that_only_looks_like_json(http: TestClient, text: bytes) -> None:
    problem_of(http.post("/experiments", content=text, headers=JSON), 400, "json_invalid")


@pytest.mark.parametrize("document", [[], 3, "spec", None])
def test_json_that_is_no_object(http: TestClient, document: object) -> None:
    answer = http.post("/experiments", content=json.dumps(document).encode(), headers=JSON)
    assert "object" in problem_of(answer, 422, "body_invalid")["detail"]


def test_an_empty_body(http: TestClient) -> None:
    problem_of(http.post("/experiments", headers=JSON), 400, "body_empty")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type(http: TestClient, content_type: str) -> None:
    answer = http.post("/experiments", content=b"{}", headers={"Content-Type": content_type})
    assert "application/json" in problem_of(answer, 415, "content_type_unsupported")["detail"]


def test_a_body_that_announces_its_size(http: TestClient) -> None:
    answer = http.post("/experiments", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)
    assert "1 MiB" in problem_of(answer, 413, "body_too_large")["detail"]


def test_a_body_that_does_not_announce_its_size(http: TestClient) -> None:
    def chunks() -> object:
        for _ in range(20):
            yield b" " * 100_000

    answer = http.post("/experiments", content=chunks(), headers=JSON)  # type: ignore[arg-type]
    problem_of(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("GET", "/trials"), ("GET", "/comparisons"), ("GET", "/events"), ("GET", "/logs"),
        ("GET", "/report"), ("POST", "/cancel"), ("POST", "/resume"), ("POST", "/extend"),
    ],
)  # fmt: skip
def test_an_unknown_id(http: TestClient, method: str, path: str) -> None:
    body = {"json": {"seeds": [1]}} if path == "/extend" else {}
    answer = http.request(method, f"/experiments/nobody{path}", **body)
    assert "'nobody'" in problem_of(answer, 404, "experiment_not_found")["detail"]


def test_an_unknown_path(http: TestClient) -> None:
    problem = problem_of(http.get("/experimets"), 404, "path_not_found")
    assert "/experimets" in problem["detail"]
    assert problem["instance"] == "/experimets"


def test_a_method_that_is_not_there(http: TestClient) -> None:
    answer = http.delete("/experiments")
    assert "DELETE" in problem_of(answer, 405, "method_not_allowed")["detail"]
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/experiments?limit=0", "limit"),
        ("/experiments?limit=many", "limit"),
        ("/experiments?status=done", "status"),
        ("/experiments/ID/report?format=pdf", "format"),
        ("/experiments/ID/trials?phase=later", "phase"),
    ],
)
def test_a_query_that_is_refused(http: TestClient, experiment_id: str, path: str, parameter: str) -> None:
    problem = problem_of(http.get(path.replace("ID", experiment_id)), 422, "request_invalid")
    assert [error["parameter"] for error in problem["errors"]] == [parameter]


@pytest.mark.parametrize("last", ["-1", "x", str(2**63)])
def test_a_last_event_id_that_is_refused(http: TestClient, experiment_id: str, last: str) -> None:
    answer = http.get(f"/experiments/{experiment_id}/events", headers={"Last-Event-ID": last})
    problem = problem_of(answer, 422, "request_invalid")
    assert problem["errors"][0]["parameter"] == "Last-Event-ID"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"seeds": []}, "/seeds"), ({"seeds": ["x"]}, "/seeds/0"), ({"seeds": [1], "seds": [1]}, "/seds"), ({}, "/seeds")],
)
def test_an_extension_that_is_refused(http: TestClient, experiment_id: str, body: JsonObject, pointer: str) -> None:
    problem = problem_of(http.post(f"/experiments/{experiment_id}/extend", json=body), 422, "body_invalid")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_an_extension_in_another_content_type(http: TestClient, experiment_id: str) -> None:
    answer = http.post(
        f"/experiments/{experiment_id}/extend", content=b'{"seeds": [9]}', headers={"Content-Type": "text/plain"}
    )
    problem_of(answer, 415, "content_type_unsupported")


def test_a_nul_character_is_refused_by_either_database(settings: Settings, spec: JsonObject, database_url: str) -> None:
    stored = settings.model_copy(update={"database_url": database_url})
    with TestClient(create_app(stored, with_background=False), "http://localhost") as http:
        answer = http.post("/experiments", json=spec | {"question": "a\0b"})
        assert (answer.status_code, answer.json()["code"]) == (400, "json_invalid")
        assert "NUL" in answer.json()["detail"]
        assert http.post("/experiments", json=spec | {"question": "a\\u0000b"}).status_code == 202
        assert http.get("/experiments/%00").status_code == 404
        assert http.get("/experiments?cursor=%00").status_code == 422


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"confidence": 1 - 1e-16}, "/confidence"),
        ({"confidence": 0.99999, "looks": {"kind": "obrien_fleming", "at": [2, 3]}}, "/confidence"),
        ({"resources": {"cpus_per_worker": 5e-324}}, "/resources/cpus_per_worker"),
        ({"resources": {"gpus_per_worker": 1e-310}}, "/resources/gpus_per_worker"),
    ],
)
def test_numbers_that_would_make_infinite_ones_are_refused(
    http: TestClient, spec: JsonObject, change: JsonObject, pointer: str
) -> None:
    assert list(refused(http, spec | change)) == [pointer]
    most = {"confidence": 0.999999, "resources": {"cpus_per_worker": 0.0001}}
    assert http.post("/experiments/plan", json=spec | most).status_code == 200
    for kind in ("obrien_fleming", "pocock"):
        most = {"confidence": 0.9999, "looks": {"kind": kind, "at": [2, 3]}, "resources": {"cpus_per_worker": 0.0001}}
        assert http.post("/experiments/plan", json=spec | most).status_code == 200
