"""Whether a request wants a page: a browser names HTML, programs do not."""

from starlette.datastructures import Headers


def prefers_html(headers: Headers) -> bool:
    """Whether `Accept` names HTML, and likes it no less than JSON. `*/*` alone is a program's."""
    liking = {"text/html": 0.0, "application/json": 0.0}
    for part in headers.get("accept", "").split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media_type in liking:
            liking[media_type] = _quality(parameters)
    return 0 < liking["text/html"] >= liking["application/json"]


def _quality(parameters: list[str]) -> float:
    """RFC 9110, 12.4.2; what can't be read counts as not wanted."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
