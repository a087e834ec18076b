"""The base of every object that a user may write: frozen, closed, documented."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A pydantic model that refuses unknown fields and can't be changed after validation.

    The string under a field is its only documentation: JSON Schema, OpenAPI and `sigmalab schema` read it.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        ser_json_inf_nan="null",
    )


def kind_of(document: type[BaseModel]) -> str:
    """What a class is called in JSON: the default of its field `kind`."""
    return str(document.model_fields["kind"].default)
