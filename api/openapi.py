"""What the OpenAPI document says beyond what FastAPI finds by itself: the spec as a body, problems, examples."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from api.views import ProblemView
from orchestrator.spec import ExperimentSpec

# OpenAPI fragments are JSON whose shape only FastAPI knows.
Fragment = dict[str, Any]

SMALL_SPEC: Fragment = {
    "name": "digits-gaussian-bias",
    "question": "Does a Gaussian attention bias help a small ViT that sees few images?",
    "models": [{"kind": "small_vit", "width": 48, "depth": 3, "num_heads": 3, "position": "rel_bias"}],
    "datasets": [{"kind": "digits", "num_train": 300}],
    "optimization": {"optimizer": {"kind": "adamw", "lr": 0.002}, "epochs": 20, "global_batch_size": 50},
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 2.0, "amplitude": 1.0}}},
    ],
    "seeds": [0, 1, 2, 3, 4, 5],
}
"""The example of the documentation; a test holds it against the spec's own rules."""

SPEC_BODY: Fragment = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ExperimentSpec"},
                "examples": {"digits": {"summary": "One treatment, six pairs, real digits", "value": SMALL_SPEC}},
            }
        },
    }
}

_EXAMPLES = {
    400: ("json_invalid", "the text is no valid JSON: Expecting ',' delimiter at line 3, column 5"),
    401: ("token_missing", "this service asks for a token: send `Authorization: Bearer <token>`"),
    403: ("host_refused", "without SIGMALAB_API_TOKEN the service answers only as 127.0.0.1 or localhost"),
    404: ("experiment_not_found", "no experiment has the id '06f3a'"),
    409: ("status_conflict", "experiment 06f3a is already succeeded; there is nothing to cancel"),
    413: ("body_too_large", "the body is larger than 1048576 bytes (1 MiB)"),
    415: ("content_type_unsupported", "the body must be JSON: send `Content-Type: application/json`, not text/plain"),
    422: ("spec_invalid", "/models/0/width: must be at most 4096, not 5000"),
    503: ("ray_unavailable", "Ray's dashboard does not answer"),
}


def problems(*statuses: int) -> dict[int | str, Fragment]:
    """Documentation of error answers."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> Fragment:
    code, detail = _EXAMPLES[status]
    example = ProblemView(
        type=f"/problems/{code}", title=HTTPStatus(status).phrase, status=status, detail=detail, code=code
    )
    content = {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/ProblemView"},
            "example": example.model_dump(mode="json", exclude_none=True),
        }
    }
    return {"description": HTTPStatus(status).phrase, "content": content}


PROBLEMS = problems(401, 403)
"""What every path may answer."""


def complete_openapi(app: FastAPI) -> None:
    """Make `app.openapi()` hold the schemas of bodies that are read by hand."""
    generate = app.openapi

    def openapi() -> Fragment:
        if app.openapi_schema:
            return app.openapi_schema
        document = generate()
        schemas = document["components"]["schemas"]
        for model in (ExperimentSpec, ProblemView):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, definition in schema.pop("$defs", {}).items():
                schemas.setdefault(name, definition)
            schemas[model.__name__] = schema
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
