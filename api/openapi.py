"""What the OpenAPI document says beyond what FastAPI finds by itself: the spec as a body, problems, examples."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from api.views import ExtendRequest, ProblemView
from orchestrator.spec.experiment import ExperimentSpec

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


def _json_body(schema: str, summary: str, example: Fragment) -> Fragment:
    """Documentation of a body that is read by hand."""
    content = {
        "schema": {"$ref": f"#/components/schemas/{schema}"},
        "examples": {"usual": {"summary": summary, "value": example}},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


SPEC_BODY = _json_body("ExperimentSpec", "One treatment, six pairs, real digits", SMALL_SPEC)
EXTENSION_BODY = _json_body("ExtendRequest", "Two more pairs", {"seeds": [6, 7]})

_EXAMPLES = {
    400: ("json_invalid", "the text is not valid JSON: Expecting ',' delimiter at line 3, column 5"),
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
        for model in (ExperimentSpec, ExtendRequest, ProblemView):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, definition in schema.pop("$defs", {}).items():
                schemas.setdefault(name, definition)
            schemas[model.__name__] = schema
        _replace_default_errors(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _replace_default_errors(document: Fragment) -> None:
    """FastAPI documents its own form of a 422 wherever a route does not; ours is a problem everywhere."""
    for path in document["paths"].values():
        for operation in path.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"] = _problem(422)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
