"""Receptive fields over HTTP: lists, arrays, pictures, and why there are none."""

import io
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from orchestrator.settings import Settings
from orchestrator.store.database import Database
from orchestrator.store.trials import trials_of
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.orchestrator.planted_maps import PLACE, planted_map, write_maps

PNG = b"\x89PNG"


@pytest.fixture
def experiment_id(http: TestClient, spec: JsonObject) -> str:
    asking = spec | {"analyses": [{"kind": "receptive_field"}]}
    return str(http.post("/experiments", json=asking).json()["id"])


def write_files(database: Database, storage: Path, experiment_id: str) -> None:
    with database.read() as session:
        for row in trials_of(session, experiment_id):
            write_maps(storage, row.identity, row.arm, row.seed)


def test_array_and_picture_are_the_mean_over_seeds(
    http: TestClient, database: Database, settings: Settings, experiment_id: str
) -> None:
    playing.play(database, experiment_id)
    write_files(database, settings.effective_storage, experiment_id)
    base = f"/experiments/{experiment_id}/receptive-fields"
    fields = http.get(base).json()
    assert [(field["arm"], field["moment"], field["num_seeds"]) for field in fields] == [
        (arm, moment, 3) for arm in ("control", "gaussian") for moment in ("initial", "final")
    ]
    last = fields[-1]
    expected = np.mean([planted_map("gaussian", seed, "final") for seed in range(3)], axis=0)
    array = np.load(io.BytesIO(http.get(last["links"]["npy"]).content))
    np.testing.assert_allclose(array, expected, rtol=1e-6)
    # A fit to a mean of Gaussians of nearly one width: 4.0, 4.3 and 4.6 pixels, a token is four.
    assert last["metrics"]["sigma_x_tokens"] == pytest.approx(4.3 / 4, rel=0.01)
    assert last["key"].endswith(f"/gaussian/final/{PLACE[0]}_{PLACE[1]}")
    picture = http.get(last["links"]["png"])
    assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", PNG)
    with np.load(io.BytesIO(http.get(f"{base}/maps").content)) as arrays:
        assert arrays.files == [field["key"] for field in fields]
        np.testing.assert_array_equal(arrays[last["key"]], array)
    assert http.get(f"{base}/maps?format=png").content[:4] == PNG

    wrong = http.get(f"{base}/{last['key'].replace('gaussian', 'gausian')}")
    assert (wrong.status_code, wrong.json()["code"]) == (404, "map_not_found")
    assert f"the nearest of its 4: '{last['key']}'" in wrong.json()["detail"]


def test_why_there_are_none(http: TestClient, database: Database, spec: JsonObject, experiment_id: str) -> None:
    path = f"/experiments/{experiment_id}/receptive-fields"

    def told(path: str) -> str:
        answer = http.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        return str(answer.json()["detail"])

    assert "no trial that was asked for one has succeeded" in told(path)
    playing.play(database, experiment_id)
    assert "can't be read: no receptive_field.npz" in told(path)
    assert "can't be read" in told(f"{path}/maps?format=png")
    plain = http.post("/experiments", json=spec).json()["id"]
    assert '`"analyses": [{"kind": "receptive_field"}]`' in told(f"/experiments/{plain}/receptive-fields")
