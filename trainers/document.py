"""A file that a user wrote, read into JSON values: JSON, or YAML by the file's name."""

from pathlib import Path

from pydantic import JsonValue

from trainers.errors import DocumentError
from trainers.strict_json import decode_json

JSON_ENDINGS, YAML_ENDINGS = (".json",), (".yaml", ".yml")


def is_document(name: str) -> bool:
    """Whether a file of this name holds JSON or YAML."""
    return name.lower().endswith((*JSON_ENDINGS, *YAML_ENDINGS))


def read_document(file: Path) -> JsonValue:
    """Read a file.

    Raises:
        DocumentError: it can't be read, or holds something else; the message begins with its name.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DocumentError(f"{file} can't be read: {error.strerror}") from error
    try:
        return decode_document(data, file.name)
    except DocumentError as error:
        raise DocumentError(f"{file}: {error}") from None


def decode_document(data: bytes, name: str) -> JsonValue:
    """Read what a file holds.

    Args:
        data: UTF-8, with or without a byte order mark.
        name: the file's; where it tells nothing (standard input), what begins with a bracket is JSON.

    Raises:
        DocumentError: it is neither JSON nor YAML; the message says where.
    """
    begins_like_json = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[", b"")
    if name.lower().endswith(YAML_ENDINGS) or (not is_document(name) and not begins_like_json):
        # Half a second of imports that JSON shall not pay.
        from trainers.strict_yaml import decode_yaml  # noqa: PLC0415

        return decode_yaml(data)
    return decode_json(data)
