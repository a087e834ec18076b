"""One reader behind every door: what it takes, what it refuses, and where it says that the fault lies."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.document import decode_document, read_document
from trainers.errors import DocumentError
from trainers.strict_json import MAX_DEPTH, decode_json
from trainers.strict_yaml import MAX_VALUES, decode_yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
BOM = b"\xef\xbb\xbf"


def refusal(read, data):
    with pytest.raises(DocumentError) as caught:
        read(data)
    return str(caught.value).partition(": ")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": 1,\n  oops}', "Expecting property name enclosed in double quotes at line 2, column 3"),
        (b"", "Expecting value at line 1, column 1"),
        (b'{"a": 1, "a": 2}', "the name `a` occurs 2 times in one object, the outermost"),
        (b'{"b/c": [0, {"lr": 1, "x": 2, "lr": 1}]}', "the name `lr` occurs 2 times in one object, at /b~1c/1"),
        (b'{"a": {"b": 1, "b": 1}, "a": 2}', "the name `a` occurs 2 times in one object, the outermost"),
        (b'{"a": NaN}', "`NaN` is not a JSON number"),
        (b'{"a": -Infinity}', "`-Infinity` is not a JSON number"),
        (b'{"a": [0, -1e999]}', "the number at /a/1 is too large"),
        (b'{"a": "\xff"}', "it is not UTF-8 (byte 7)"),
        (b'{"a": "\\ud800"}', "a `\\u` escape stands for half a character (a lone surrogate)"),
        (b'{"\\ud800": 1}', "a `\\u` escape stands for half a character (a lone surrogate)"),
        (b'{"a\\u0000": 1}', "a string holds the character NUL (`\\u0000`), which PostgreSQL can't keep"),
        (b"[" * 100_000, f"it nests deeper than {MAX_DEPTH} levels"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), f"it nests deeper than {MAX_DEPTH} levels"),
    ],
)
def test_json_is_refused_with_its_place(text, message):
    assert refusal(decode_json, text) == message


def test_what_json_may_hold():
    assert decode_json(BOM + '{"a": ["\\\\u0000", "é", "\\ud83d\\ude00"], "b": {}}'.encode()) == {
        "a": ["\\u0000", "é", "😀"],
        "b": {},
    }
    assert decode_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("1e-3", 1e-3),
        ("2e3", 2000.0),
        (".5", 0.5),
        ("-1.", -1.0),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("12:30:45", "12:30:45"),
        ("190:20:30", "190:20:30"),
        ("2026-01-01", "2026-01-01"),
        ("'1'", "1"),
        ('"no"', "no"),
        ("|\n  1\n", "1\n"),
        ("=", "="),
        ("~/data", "~/data"),
    ],
)
def test_a_scalar_is_what_yaml_1_2_says(text, value):
    read = decode_yaml(f"a: {text}\n".encode())["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "the key `c` stands here already, in line 3 at line 4, column 3"),
        ("a: [1, 2\nb: 3\n", "expected ',' or ']', but got ':' at line 2, column 2"),
        ("a: 1\n\tb: 2\n", "found character '\\t' that cannot start any token at line 2, column 1"),
        ("a: !!python/object:os.system x\n", "the tag `tag:yaml.org,2002:python/object:os.system` has no meaning"),
        ("a: !!str 5\n", "the tag `tag:yaml.org,2002:str` has no meaning here; put text between quotation marks"),
        ("1: a\n", "a key must be text; put it between quotation marks at line 1, column 1"),
        ("? [a]\n: b\n", "a key must be text"),
        ("a: .inf\n", "`.inf` is not a JSON number at line 1, column 4"),
        ("a: 1e999\n", "the number at /a is too large"),
        ("a: .NaN\n", "`.NaN` is not a JSON number"),
        ("base: &b {x: 1}\na:\n  <<: *b\n", "`<<` belongs to YAML 1.1; write the fields out at line 3, column 3"),
        ("a: *b\n", "`*b` stands for nothing: no value above has the anchor `&b` at line 1, column 4"),
        ("a: &a [*a]\n", "`*a` stands for nothing"),
        ("--- \na: 1\n--- \nb: 2\n", "a second document begins; a file holds one at line 3, column 1"),
        ("%YAML 1.1\n---\na: no\n", "files are read as YAML 1.2, not as another version"),
        ("", "it is empty"),
        ("# only a comment\n", "it is empty"),
        ('a: "\\0"\n', "a string holds the character NUL"),
        ('a: "\\ud800"\n', "a `\\u` escape stands for half a character"),
        ("[" * 1000, f"it nests deeper than {MAX_DEPTH} levels at line 1, column 66"),
    ],
)
def test_yaml_is_refused_with_its_place(text, message):
    said = refusal(decode_yaml, text.encode())
    assert said.startswith(message)
    assert "\n" not in said


def test_yaml_that_is_not_utf_8():
    assert refusal(decode_yaml, b"a: \xff") == "it is not UTF-8 (byte 3)"


def test_aliases_are_read_and_bounded():
    assert decode_yaml(b"a: &shared {x: [1]}\nb: *shared\n") == {"a": {"x": [1]}, "b": {"x": [1]}}
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    assert f"the aliases up to here stand for more than {MAX_VALUES:,} values" in refusal(decode_yaml, bomb.encode())


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029\ufeff\ufffe\uffff")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz ~/", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_is_yaml_and_both_readers_agree(value):
    text = json.dumps(value).encode()
    assert decode_json(text) == value
    assert decode_yaml(text) == value


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.json")), ids=lambda file: file.stem)
def test_a_document_is_the_same_as_json_and_as_yaml(file, tmp_path):
    from ruamel.yaml import YAML

    document = read_document(file)
    as_yaml = tmp_path / "spec.yaml"
    YAML(typ="safe", pure=True).dump(document, as_yaml)
    assert read_document(as_yaml) == document


def test_a_file_is_read_by_its_name_and_a_stream_by_its_first_bracket(tmp_path):
    assert decode_document(b"a: 1", "spec.YML") == {"a": 1}
    with pytest.raises(DocumentError, match="JSON"):
        decode_document(b"a: 1", "spec.json")
    for name in ("-", "spec", "63"):
        assert decode_document(b"a: 1e-3", name) == {"a": 1e-3}
        assert decode_document(BOM + b' {"a": 1}', name) == {"a": 1}
        with pytest.raises(DocumentError, match="JSON"):
            decode_document(b'{"a": 1,}', name)
    with pytest.raises(DocumentError, match=r"no\.yaml can't be read: No such file"):
        read_document(tmp_path / "no.yaml")
    (tmp_path / "bad.yaml").write_text("a: 1\na: 2\n")
    with pytest.raises(DocumentError, match=r"bad\.yaml: the text is not valid YAML: the key `a`.* line 2"):
        read_document(tmp_path / "bad.yaml")
