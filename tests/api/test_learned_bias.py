"""Position biases over HTTP: lists, arrays, pictures, and why there are none."""

import io

import numpy as np
from fastapi.testclient import TestClient

from orchestrator.settings import Settings
from orchestrator.store.database import Database
from orchestrator.store.trials import trials_of
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.orchestrator.planted_views import planted_view, write_views


def test_array_and_picture_are_the_mean_over_seeds(
    http: TestClient, database: Database, settings: Settings, spec: JsonObject
) -> None:
    experiment_id = str(http.post("/experiments", json=spec).json()["id"])
    base = f"/experiments/{experiment_id}/learned-bias"
    assert "no trial with a position bias has succeeded" in http.get(base).json()["detail"]
    playing.play(database, experiment_id)
    assert "can't be read: no learned_bias.npz" in http.get(base).json()["detail"]
    with database.read() as session:
        for row in trials_of(session, experiment_id):
            write_views(settings.effective_storage, row.identity, row.arm, row.seed)
    [view] = [each for each in http.get(base).json() if (each["part"], each["layer"]) == ("sum", 2)]
    expected = np.mean([planted_view("sum", 2, seed, (5, 6), 2) for seed in range(3)], axis=0)
    array = np.load(io.BytesIO(http.get(view["links"]["npy"]).content))
    np.testing.assert_allclose(array, expected, rtol=1e-6)
    assert http.get(view["links"]["png"]).content[:4] == b"\x89PNG"
    with np.load(io.BytesIO(http.get(f"{base}/maps").content)) as arrays:
        np.testing.assert_array_equal(arrays[view["key"]], array)
    wrong = http.get(f"{base}/{view['key'].replace('/02/', '/2/')}")
    assert (wrong.status_code, wrong.json()["code"]) == (404, "map_not_found")
    assert view["key"] in wrong.json()["detail"]
    wrong = http.get(f"{base}/{view['key'].replace('sum', 'som')}")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "request_invalid")
    assert "part: Input should be 'own', 'gaussian', 'sum' or 'absolute'" in wrong.json()["detail"]
