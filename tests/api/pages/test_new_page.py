"""The page of a new question, as it works without a script."""

import html
import json
import re

import pytest
from fastapi.testclient import TestClient

from orchestrator.errors import Problem, SpecError
from orchestrator.service.experiments import Experiments
from tests.api.conftest import JsonObject
from tests.api.pages.test_experiment_pages import HOSTILE, text_of

ORIGIN = {"Origin": "http://127.0.0.1"}


def post(browser: TestClient, written: str, action: str) -> object:
    token = re.search(r'name="form_token" value="([^"]+)"', browser.get("/new").text).group(1)  # type: ignore[union-attr]
    return browser.post("/new", data={"form_token": token, "spec": written, "action": action}, headers=ORIGIN)


def written_in(page: str) -> str:
    return html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL).group(1))  # type: ignore[union-attr]


def test_examples_are_templates_and_their_plan_is_told_as_the_command_line_does(browser: TestClient) -> None:
    page = browser.get("/new", params={"template": "digits"}).text
    written = written_in(page)
    assert json.loads(written)["name"] == "digits-gaussian-bias"
    answer = post(browser, written, "plan")
    assert answer.status_code == 200
    text = text_of(answer.text)
    assert "21 trials make 14 pairs" in text
    assert "What it can show, before anything is spent" in text
    assert written_in(answer.text).split() == written.split()
    assert "No experiment" not in text
    assert browser.get("/experiments", headers={"Accept": "application/json"}).json()["items"] == []


def test_what_is_wrong_is_told_with_its_place(browser: TestClient, spec: JsonObject) -> None:
    spec["arms"][1]["patch"]["attention_bias"]["sigma"] = HOSTILE
    answer = post(browser, json.dumps(spec), "plan")
    assert '<li data-pointer="/arms/1/patch/attention_bias/sigma">' in answer.text
    assert "<script>alert" not in answer.text
    assert HOSTILE in json.loads(written_in(answer.text))["arms"][1]["patch"]["attention_bias"]["sigma"]
    broken = post(browser, '{"name": }', "submit")
    assert broken.status_code == 422
    assert "line 1, column 10" in text_of(broken.text)


def test_it_submits_what_stands_in_it_but_only_from_a_page_of_ours(browser: TestClient, spec: JsonObject) -> None:
    strange = browser.post("/new", data={"spec": json.dumps(spec), "action": "submit"}, headers=ORIGIN)
    assert strange.status_code == 403
    answer = post(browser, json.dumps(spec), "submit")
    assert answer.status_code == 303
    assert f"<h1>{spec['name']}</h1>" in browser.get(answer.headers["location"]).text
    # Clicked twice, it is asked once.
    assert post(browser, json.dumps(spec), "submit").headers["location"] == answer.headers["location"]


def test_own_code_is_not_run_for_who_only_types(
    browser: TestClient, spec: JsonObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def planned(*_: object) -> None:
        asked.append(True)
        raise SpecError([Problem("/models/0", "asked")])

    monkeypatch.setattr(Experiments, "plan", planned)
    own = {"kind": "python", "target": "mine.models:Net", "image_size_px": 16}
    for code in ({"code": {"path": "/home/me"}, "models": [own]}, {"models": [own]}):
        text = json.dumps({**spec, **code})
        assert "names code of its own" in text_of(post(browser, text, "look").text)
        assert asked == []
        assert "/models/0 asked" in text_of(post(browser, text, "plan").text)
        asked.clear()
    assert "/models/0 asked" in text_of(post(browser, json.dumps(spec), "look").text)
