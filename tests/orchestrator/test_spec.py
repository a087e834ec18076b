"""A spec and everything that can be wrong with it: each test reads the message and the pointer."""

import json
from copy import deepcopy

import pytest
from pydantic import ValidationError

from orchestrator.errors import SpecError
from orchestrator.planning.expansion import Expansion
from orchestrator.spec.complaints import json_pointer
from orchestrator.spec.experiment import MAX_TRIALS, ExperimentSpec, parse_spec

SPEC = {
    "name": "digits",
    "models": [{"kind": "small_vit"}],
    "datasets": [{"kind": "digits"}],
    "arms": [
        {"name": "control", "role": "control"},
        {
            "name": "gaussian",
            "patch": {"attention_bias": {"kind": "gaussian"}},
            "search": {"space": {"attention_bias.sigma": {"kind": "uniform", "low": 1, "high": 8}}},
        },
    ],
}


def changed(path, value):
    """SPEC with one place set (or a list extended: index one beyond its end)."""
    spec = deepcopy(SPEC)
    target = spec
    for key in path[:-1]:
        target = target[key]
    if isinstance(target, list) and path[-1] == len(target):
        target.append(value)
    else:
        target[path[-1]] = value
    return spec


def problems(document):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(SpecError) as caught:
        parse_spec(data)
    return [tuple(problem) for problem in caught.value.problems]


def test_a_good_spec_is_read_from_text_and_object_alike():
    spec = parse_spec(json.dumps(SPEC).encode())
    assert spec == parse_spec(SPEC)
    assert spec.control.name == "control"
    assert [arm.name for arm in spec.treatments] == ["gaussian"]
    assert (spec.num_cells, spec.num_confirm_trials, spec.num_search_trials) == (1, 12, 16)


def test_what_is_read_and_written_is_read_again():
    spec = parse_spec(SPEC)
    assert parse_spec(spec.model_dump_json().encode()) == spec


SPACE = ("arms", 1, "search", "space", "attention_bias.sigma")


@pytest.mark.parametrize(
    ("path", "value", "pointer", "message"),
    [
        # unknown fields, with the nearest name
        (("model",), [], "/model", "unknown field `model`; did you mean `models`? Valid: name, question, "),
        (("models", 0, "dept"), 4, "/models/0/dept", "unknown field `dept`; did you mean `depth`? Valid: kind, width"),
        (("arms", 1, "search", "canddates"), 4, "/arms/1/search/canddates", "unknown field `canddates`; did you mean"),
        (
            ("resources",),
            {"gpus_per_worker": 2},
            "/resources/gpus_per_worker",
            (
                "a training process uses one GPU, so 1 more would be idle: for several GPUs take as many workers, "
                '`"num_workers": ..., "gpus_per_worker": 1`'
            ),
        ),
        (
            ("resources",),
            {"num_workers": 2, "gpus_per_worker": 0.5},
            "/resources/gpus_per_worker",
            (
                "2 workers of one trial can't share a GPU (NCCL refuses two ranks on one): take 1 GPU for each, or "
                '`"num_workers": 1`'
            ),
        ),
        (
            ("resources",),
            {"accelerator_type": "H100"},
            "/resources/accelerator_type",
            "H100 is a model of GPUs, and a trial takes none: set `gpus_per_worker`",
        ),
        (("resources",), {"gpus": 1}, "/resources/gpus", "unknown field `gpus`; did you mean `gpus_per_worker`?"),
        # unknown model, data set, distribution, task
        (("models", 0, "kind"), "smal_vit", "/models/0/kind", "unknown kind `smal_vit`; did you mean `small_vit`?"),
        (("datasets", 0, "kind"), "digit", "/datasets/0/kind", "unknown kind `digit`; did you mean `digits`? Valid: "),
        (
            (*SPACE, "kind"),
            "normal",
            "/arms/1/search/space/attention_bias.sigma/kind",
            "unknown kind `normal`; did you mean `uniform`",
        ),
        (
            ("task",),
            {"kind": "ranking"},
            "/task/kind",
            "unknown kind `ranking`; valid: classification, command, detection, segmentation",
        ),
        (("datasets", 0), {}, "/datasets/0", "the field `kind` is required: it says which"),
        # wrong types, taken at their word
        (("seeds",), [0, "1"], "/seeds/1", 'must be a whole number, not "1"'),
        (("seeds",), [0, True], "/seeds/1", "must be a whole number, not true"),
        (("seeds",), [0, 1.5], "/seeds/1", "must be a whole number, not 1.5"),
        (("seeds",), 3, "/seeds", "must be a list, not 3"),
        (("seeds",), [-1], "/seeds/0", "must be at least 0, not -1"),
        (("optimization",), {"epochs": "many"}, "/optimization/epochs", 'must be a whole number, not "many"'),
        (("optimization",), {"optimizer": {"kind": "adamw", "lr": 0}}, "/optimization/optimizer/lr", "must be above 0"),
        (("models", 0, "width"), None, "/models/0/width", "must be a whole number, not null"),
        (("models", 0), 3, "/models/0", "must be an object, not 3"),
        (("arms",), {"a": 1}, "/arms", "must be a list, not an object"),
        (("name",), 3, "/name", "must be text, not 3"),
        (("name",), "My Digits", "/name", '"My Digits" is not a valid name: lower-case letters, digits'),
        (("confidence",), 1.0, "/confidence", "must be below 1, not 1.0"),
        (
            ("arms", 0, "role"),
            "contrl",
            "/arms/0/role",
            '"contrl" is not valid; did you mean `control`? Valid: control',
        ),
        (("primary_metric",), "test/top2", "/primary_metric", '"test/top2" is not valid; did you mean `test/top'),
        (
            ("primary_metric",),
            "receptive_field/rms_radius_tokens",
            "/primary_metric",
            "`receptive_field/rms_radius_tokens` is never measured: ask for it with",
        ),
        (("analyses",), [{}], "/analyses/0", "the field `kind` is required"),
        (
            ("analyses",),
            [{"kind": "learned_bias"}, {"kind": "receptive_field"}, {"kind": "learned_bias"}],
            "/analyses",
            "the analysis `learned_bias` is asked for twice; one of a kind is all",
        ),
        (
            ("analyses",),
            [{"kind": "recptive_field"}],
            "/analyses/0/kind",
            "unknown kind `recptive_field`; did you mean `receptive_field`?",
        ),
        # empty lists
        (("models",), [], "/models", "must not be empty"),
        (("datasets",), [], "/datasets", "must not be empty"),
        (("seeds",), [], "/seeds", "must not be empty"),
        (("arms",), [], "/arms", "must have at least 2 entries, not 0"),
        (("arms",), SPEC["arms"][:1], "/arms", "must have at least 2 entries, not 1"),
        (("arms", 1, "search", "space"), {}, "/arms/1/search/space", "must not be empty"),
        (("arms", 1, "search", "seeds"), [], "/arms/1/search/seeds", "must not be empty"),
        # arms
        (("arms", 0, "role"), "treatment", "/arms", "no arm is the control; exactly one needs"),
        (("arms", 1, "role"), "control", "/arms/1/role", "`control` is the control already; exactly one arm may be"),
        (("arms", 1, "name"), "control", "/arms/1/name", "another arm is called `control` already"),
        # seeds
        (("seeds",), [3, 1, 3], "/seeds/2", "the seed 3 is listed twice"),
        (("arms", 1, "search", "seeds"), [7, 7], "/arms/1/search/seeds/1", "the seed 7 is listed twice"),
        (("arms", 1, "search", "seeds"), [7, 5], "/arms/1/search/seeds/1", "the seed 5 is among the experiment's"),
        # spaces
        ((*SPACE, "low"), 9, "/arms/1/search/space/attention_bias.sigma", "`low` (9.0) must be below `high` (8.0)"),
        (
            SPACE,
            {"kind": "choice", "values": [1, 2, 1]},
            f"/{'/'.join(map(str, SPACE))}",
            "the value 1 is listed twice",
        ),
        (
            ("arms", 1, "search"),
            {"space": {"lr": {"kind": "choice", "values": [1]}}, "algorithm": {"kind": "optuna", "sampler": "cma_es"}},
            "/arms/1/search/space/lr/kind",
            "CMA-ES can't search listed values: use `uniform`",
        ),
        (("arms", 1, "search", "algorithm"), {"kind": "grid"}, f"/{'/'.join(map(str, SPACE))}/kind", "a grid needs"),
        ((*SPACE, "low"), float("nan"), "", "the text is not valid JSON: `NaN` is not a JSON number"),
    ],
)
def test_one_mistake_one_problem(path, value, pointer, message):
    found = problems(changed(path, value))
    assert len(found) == 1, found
    assert found[0][0] == pointer
    assert found[0][1].startswith(message), found[0][1]


def test_a_missing_field_is_named():
    spec = {key: value for key, value in SPEC.items() if key != "models"}
    assert problems(spec) == [("/models", "the field `models` is required")]


def test_a_pointer_escapes_what_json_pointers_must():
    spec = changed(("arms", 1, "search", "space"), {"a/b~c": {"kind": "uniform", "low": "x", "high": 1}})
    assert problems(spec) == [("/arms/1/search/space/a~1b~0c/low", 'must be a number, not "x"')]


def test_a_field_that_is_called_like_its_kind_is_no_tag():
    spec = changed(("datasets", 0, "digits"), 1)
    assert [pointer for pointer, _ in problems(spec)] == ["/datasets/0/digits"]


def test_all_problems_come_at_once_and_no_echo_of_them():
    spec = deepcopy(SPEC)
    spec["models"] = [{"kind": "small_vit", "width": 1, "positon": "absolute"}]
    spec["datasets"] = [{"kind": "digitz"}]
    spec["arms"][1]["name"] = "control"
    spec["seeds"] = [0, 0]
    spec["optimization"] = {"epochs": -1, "precision": "fp16"}
    assert sorted(pointer for pointer, _ in problems(spec)) == [
        "/arms/1/name",
        "/datasets/0/kind",
        "/models/0/positon",
        "/models/0/width",
        "/optimization/epochs",
        "/optimization/precision",
        "/seeds/1",
    ]


@pytest.mark.parametrize(("seeds", "total"), [(50_001, None), (10_000, "120,096")])
def test_absurd_sizes_are_refused_with_the_number(seeds, total):
    spec = deepcopy(SPEC)
    spec["models"] = [{"kind": "small_vit", "width": 12 * (i + 1)} for i in range(6)]
    spec["arms"][1]["search"]["seeds"] = [20_000, 20_001]
    spec["seeds"] = list(range(seeds))
    ((pointer, message),) = problems(spec)
    if total is None:
        assert (pointer, message) == ("/seeds", "must have at most 10,000 entries, not 50,001")
    else:
        assert pointer == ""
        assert f"asks for {total} trials (6 cells x 2 arms x 10,000 seeds = 120,000, searches 96)" in message
        assert f"at most {MAX_TRIALS:,} are accepted" in message


def test_a_space_that_would_take_minutes_to_check_is_refused():
    spec = deepcopy(SPEC)
    spec["models"] = [{"kind": "small_vit", "width": 12 * (i + 1)} for i in range(51)]
    spec["arms"][1]["search"]["space"] = {
        f"attention_bias.{name}": {"kind": "choice", "values": list(range(1000))} for name in ("sigma", "amplitude")
    }
    assert problems(spec) == [
        ("", "the search spaces list 102,000 values, each counted once per cell; at most 100,000 are accepted")
    ]


def test_a_grid_counts_its_points():
    spec = deepcopy(SPEC)
    spec["arms"][1]["search"] = {
        "space": {
            "attention_bias.sigma": {"kind": "choice", "values": [1, 2, 4]},
            "attention_bias.amplitude": {"kind": "choice", "values": [1, 2]},
        },
        "algorithm": {"kind": "grid"},
        "num_candidates": 100,
        "seeds": [7, 8],
    }
    search = parse_spec(spec).arms[1].search
    assert (search.num_points, search.num_trials) == (6, 12)


def test_broken_json_says_where():
    """The reader's own tests: tests/trainers/test_document.py."""
    assert problems(b'{"name": "x",\n  oops}') == [
        (
            "",
            "the text is not valid JSON: Expecting property name enclosed in double quotes at line 2, column 3",
        )
    ]


def test_json_that_is_no_object():
    assert problems(b"[1]") == [("", "must be an object, not a list")]


def test_an_object_that_nests_too_deeply_for_a_spec():
    deep = {}
    for _ in range(300):
        deep = {"a": deep}
    too_deep = [("", "the text is not valid JSON: it nests deeper than 64 levels")]
    assert problems(changed(("arms", 0, "patch"), deep)) == too_deep


def test_a_number_that_is_too_large_for_a_float():
    assert problems(json.dumps(SPEC)[:-1].encode() + b', "equivalence_margin": 1e999}') == [
        ("", "the text is not valid JSON: the number at /equivalence_margin is too large")
    ]


def test_rules_hold_without_parse_spec_too():
    with pytest.raises(ValidationError, match="no arm is the control"):
        ExperimentSpec.model_validate(changed(("arms", 0, "role"), "treatment"))


def test_an_error_survives_pickling_with_its_problems():
    import pickle

    with pytest.raises(SpecError) as caught:
        parse_spec(changed(("seeds",), []))
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def places(document, path=()):
    """Paths of all values of a document."""
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    if isinstance(document, list):
        for index, value in enumerate(document):
            yield from places(value, (*path, index))


NASTY = [
    None,
    True,
    -1,
    0,
    1e308,
    2**63,
    "",
    "none",
    "\n",
    [],
    {},
    [[]],
    {"kind": "none"},
    {"kind": []},
    {"a": {"b": 1}},
]


@pytest.mark.parametrize("value", NASTY, ids=repr)
def test_whatever_stands_anywhere_is_a_spec_or_a_spec_error_that_points_into_it(value):
    """No other exception, and every pointer (or its parent, for what is missing) exists in what the user wrote."""
    num_refused = 0
    for path in [path for path in places(SPEC) if path]:
        document = changed(path, value)
        try:
            Expansion(parse_spec(json.dumps(document).encode()), data_root=None)
        except SpecError as error:
            num_refused += 1
            existing = {json_pointer(place) for place in places(document)} | {"/optimization/global_batch_size"}
            for pointer, message in error.problems:
                assert pointer in existing or pointer.rpartition("/")[0] in existing
                assert message
    assert num_refused > 10


def test_a_default_that_follows_the_task_adds_no_complaint_to_that_of_the_task() -> None:
    document = SPEC | {"task": {"kind": "segmentaton"}}
    document.pop("primary_metric", None)
    with pytest.raises(SpecError) as caught:
        parse_spec(document)
    assert [problem.pointer for problem in caught.value.problems] == ["/task/kind"]
