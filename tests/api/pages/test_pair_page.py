"""The page of a pair: both trials side by side, and the images they disagree on."""

import io
import re
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from orchestrator.planning.hardware import trial_folder
from orchestrator.settings import Settings
from orchestrator.store.database import Database
from orchestrator.store.trials import trials_of
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.api.pages.test_experiment_pages import HOSTILE, ask, text_of
from trainers.data.digits import DigitsConfig, _digits
from trainers.tasks.evidence import EVIDENCE_FILE

SAID = {"control": [0, 1, 2, 3], "plain": [0, 1, 2, 3], "gaussian": [9, 1, 2, 1]}
"""Of four test images, which are the classes 0, 1, 1 and 2."""


def path_of(browser: TestClient, experiment_id: str) -> str:
    (link,) = re.findall(r'href="([^"]+/pairs/[^"]+)"', browser.get(f"/experiments/{experiment_id}").text)
    return link


def keep_predictions(database: Database, experiment_id: str, storage: Path, places: list[int]) -> None:
    with database.read() as session:
        for row in trials_of(session, experiment_id):
            folder = storage / trial_folder(row.identity, row.hardware or "")
            folder.mkdir(parents=True)
            arrays = {
                "test_index": places,
                "test_label": [0, 1, 1, 2],
                "test_predicted": SAID[row.arm],
                "test_confidence": [0.25, 0.5, 0.75, 1.0],
            }
            np.savez(folder / EVIDENCE_FILE, class_names=np.array([*"012345678", HOSTILE]), **arrays)


def test_it_shows_curves_circumstances_and_the_images_that_both_disagree_on(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, settings: Settings
) -> None:
    experiment_id = ask(http, spec)
    playing.play(database, experiment_id)
    places = sorted(int(place) for place in DigitsConfig(num_train=100)._split()[2][:4])
    keep_predictions(database, experiment_id, settings.effective_storage, places)
    path = path_of(browser, experiment_id)
    page = browser.get(path, params={"seed": 1}).text
    text = text_of(page)
    assert "3 of 3 pairs" in text
    assert "Seed 1" in text
    assert "attention_bias.kind none gaussian" in text
    assert "device cpu" in text
    # Image 0: the control alone is right; 1: both are; 2: both say 2; 3: both are wrong, in different ways.
    assert re.search(r"only gaussian is right: 0 .*only control is right: 1 .*different ways: 1", text)
    assert "of 4 images that both scored" in text
    assert f"label 0 control 0 25 % gaussian {HOSTILE} 25 %" in text
    assert "<script>alert" not in page
    assert "onerror" not in re.sub(r"&lt;.*?&gt;", "", page)
    (address,) = re.findall(r'src="([^"]+/images/[^"]+)"', page)
    picture = Image.open(io.BytesIO(browser.get(address).content))
    shown = np.asarray(picture.convert("L"), dtype=float)
    known = _digits()[0][places[0]]
    small = np.asarray(Image.fromarray(shown.astype(np.uint8)).resize((8, 8), Image.Resampling.BOX), dtype=float)
    assert np.corrcoef(small.ravel(), known.ravel())[0, 1] > 0.9
    assert browser.get(address.replace(f"/{places[0]}.png", "/999999.png")).status_code == 404
    assert re.search(r'"right">0 .*"wrong">', page)
    others = browser.get(path, params={"seed": 1, "images": "both-wrong"}).text
    assert "no more of this kind" in text_of(browser.get(path, params={"seed": 1, "after": 24}).text)
    assert "label 2 control 3 100 % gaussian 1 100 %" in text_of(others)


def test_what_is_not_there_yet_is_said(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, {**spec, "arms": [spec["arms"][0], {**spec["arms"][1], "label": "Gaussian, (ours)"}]})
    attempt = playing.begin(database, experiment_id)
    path = path_of(browser, experiment_id)
    assert path.endswith("/gaussian")
    assert "data-incomplete" not in browser.get(path).text
    text = text_of(browser.get(path).text)
    assert "Gaussian, (ours) on small_vit_12x1_rel_bias_h1 / digits-100" in text
    assert "no pair is complete yet" in text
    assert "both trials must have succeeded first" in text
    answer = browser.get(path.replace("/gaussian", "/nobody"))
    assert answer.status_code == 404
    assert "compares no 'nobody'" in text_of(answer.text)
    assert "both trials must have succeeded first" in text_of(
        browser.get(path.replace("/gaussian", "/Gaussian, (ours)")).text
    )
    playing.train(database, experiment_id, attempt)
    page = browser.get(path).text
    assert '<p class="interim">' in page
    # The trials' files are not there; all else is shown.
    assert "no predictions.npz in the trial's folder" in text_of(page)
    playing.finish(database, experiment_id, attempt)
    assert "interim" not in text_of(browser.get(path).text)


def test_a_control_is_called_by_its_name(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, settings: Settings
) -> None:
    experiment_id = ask(http, {**spec, "arms": [{**spec["arms"][0], "name": "plain"}, spec["arms"][1]]})
    playing.play(database, experiment_id)
    keep_predictions(database, experiment_id, settings.effective_storage, [3, 5, 7, 9])
    page = browser.get(path_of(browser, experiment_id)).text
    text = text_of(page)
    assert "only plain is right: 1" in text
    assert "label 0 plain 0" in text
    assert 'data-control-name="plain"' in page
    assert "control" not in text


def test_curves_are_told_as_far_as_they_are(http: TestClient, spec: JsonObject, database: Database) -> None:
    experiment_id = ask(http, spec)
    attempt = playing.begin(database, experiment_id)
    playing.train(database, experiment_id, attempt, limit=1)
    done, waiting = http.get(f"/experiments/{experiment_id}/trials").json()[:2]
    path = f"/experiments/{experiment_id}/trials"
    assert http.get(f"{path}/{done['id']}/metrics").json()["val/top1"] == {"epochs": [0, 1], "values": [0.5, 0.5]}
    assert http.get(f"{path}/{waiting['id']}/metrics").json() == {}
    assert http.get(f"{path}/99999/metrics").status_code == 404
