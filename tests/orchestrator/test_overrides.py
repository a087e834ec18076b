"""What stands behind the spec on a command line: where it leads, what it means, and what is refused."""

import json
from copy import deepcopy

import pytest

from orchestrator.errors import SpecError
from orchestrator.overrides import with_overrides
from orchestrator.spec.experiment import parse_spec

SPEC = {
    "name": "x",
    "models": [{"kind": "small_vit"}, {"kind": "small_vit", "width": 24}],
    "datasets": [{"kind": "digits"}],
    "arms": [
        {"name": "control", "role": "control"},
        {
            "name": "sigma-0.5",
            "patch": {"attention_bias": {"kind": "gaussian", "sigma": 0.5}},
            "search": {"space": {"attention_bias.sigma": {"kind": "uniform", "low": 1, "high": 2}}},
        },
    ],
}


def refusals(*overrides):
    with pytest.raises(SpecError) as caught:
        parse_spec(with_overrides(SPEC, overrides))
    return [tuple(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("optimization.epochs=5", ("optimization", "epochs"), 5),
        ("seeds=0..9", ("seeds",), list(range(10))),
        ("seeds=3..3", ("seeds",), [3]),
        ("seeds=0..2,7,9..10", ("seeds",), [0, 1, 2, 7, 9, 10]),
        ("seeds=4", ("seeds",), [4]),
        ("seeds=[1, 5]", ("seeds",), [1, 5]),
        ("arms.sigma-0.5.search.seeds=50..51", ("arms", 1, "search", "seeds"), [50, 51]),
        ("arms.sigma-0.5.patch.attention_bias.sigma=3", ("arms", 1, "patch", "attention_bias", "sigma"), 3),
        ("arms.1.patch.attention_bias.sigma=3", ("arms", 1, "patch", "attention_bias", "sigma"), 3),
        (
            "arms.sigma-0.5.search.space.attention_bias.sigma.high=4",
            ("arms", 1, "search", "space", "attention_bias.sigma", "high"),
            4,
        ),
        ("models.1.width=12", ("models", 1, "width"), 12),
        ("question=Is it 0..9 = yes?", ("question",), "Is it 0..9 = yes?"),
        ("question=", ("question",), ""),
        ('question="5"', ("question",), "5"),
        ("recipe=null", ("recipe",), None),
        ("arms.control.search=null", ("arms", 0, "search"), None),
        ('optimization.optimizer={"kind": "sgd"}', ("optimization", "optimizer"), {"kind": "sgd"}),
    ],
)
def test_an_override_sets_one_place(override, place, value):
    before = deepcopy(SPEC)
    changed = found = with_overrides(SPEC, [override])
    for step in place:
        found = found[step]
    assert found == value
    assert type(found) is type(value)
    assert before == SPEC
    # Nothing else has changed.
    there, was = deepcopy(changed), deepcopy(SPEC)
    for document in (there, was):
        inner = document
        for step in place[:-1]:
            inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
        inner[place[-1]] = "same"
    assert there == was


def test_later_overrides_see_earlier_ones():
    changed = with_overrides(SPEC, ['optimization={"epochs": 3}', "optimization.global_batch_size=20"])
    assert changed["optimization"] == {"epochs": 3, "global_batch_size": 20}


def test_an_unknown_field_is_refused_by_the_spec_itself():
    ((pointer, message),) = refusals("optimization.epoch=5")
    assert pointer == "/optimization/epoch"
    assert message.startswith("unknown field `epoch`; did you mean `epochs`?")
    assert refusals("optimization.epochs=five") == [("/optimization/epochs", 'must be a whole number, not "five"')]


def test_what_leads_nowhere_is_refused_all_at_once():
    nothing = "sets nothing: write PATH=VALUE, such as optimization.epochs=5"
    entries = "did you mean `sigma-0.5`? Valid: control, sigma-0.5, 0, 1"
    assert refusals("epochs", "=5", "a..b=1", "seeds=9..1", "arms.sgma-0.5.role=control", "name.x=1") == [
        ("", f"`epochs` {nothing}"),
        ("", f"`=5` {nothing}"),
        ("", f"`a..b=1` {nothing}"),
        ("", "`seeds=9..1`: `9..1` is not a range; write the smaller seed first"),
        ("/arms", f"`arms.sgma-0.5.role=control`: /arms has no entry `sgma-0`; {entries}"),
        ("/name", "`name.x=1`: what stands at /name has no field `x`"),
    ]


def test_a_place_that_is_set_twice_is_refused():
    assert refusals("arms.0.role=treatment", "arms.control.role=control") == [
        ("/arms/0/role", "`arms.control.role=control`: this place is set twice")
    ]


def test_broken_json_is_no_text():
    ((_, message),) = refusals('optimization={"epochs": 3')
    assert "is not valid JSON" in message
    ((_, message),) = refusals('optimization={"epochs": 3, "epochs": 4}')
    assert "occurs 2 times" in message


def test_a_range_as_long_as_no_spec_is_refused():
    assert refusals("seeds=0..99999999999") == [
        ("", "`seeds=0..99999999999`: these are 100,000,000,000 seeds; write at most 100,000")
    ]
    # Each part alone would do; what counts is how many they are together, and none is written out before.
    many = ",".join(["0..99999"] * 200)
    assert "these are 20,000,000 seeds; write at most 100,000" in refusals(f"seeds={many}")[0][1]


def test_the_digest_is_that_of_the_spec_written_out():
    from orchestrator.planning.expansion import Expansion

    written = json.loads(json.dumps(SPEC))
    del written["arms"][1]["search"]
    short = with_overrides(written, ["optimization.epochs=5", "seeds=0..3"])
    written |= {"optimization": {"epochs": 5}, "seeds": [0, 1, 2, 3]}
    one, other = (Expansion(parse_spec(spec), data_root=None).digest for spec in (short, written))
    assert one == other


def test_a_name_that_two_entries_have_is_refused_with_their_places():
    twins = [{"kind": "timm", "name": "vit"}, {"kind": "timm", "name": "vit", "label": "Ours"}]
    with pytest.raises(SpecError) as caught:
        with_overrides({**SPEC, "models": twins}, ["models.vit.drop_path=0.1"])
    ((pointer, message),) = caught.value.problems
    assert pointer == "/models"
    assert message == ("`models.vit.drop_path=0.1`: 2 entries are called `vit`: write `0` or `1` (label `Ours`)")
    changed = with_overrides({**SPEC, "models": twins}, ["models.Ours.drop_path=0.1", "models.0.drop_path=0.2"])
    assert [model["drop_path"] for model in changed["models"]] == [0.2, 0.1]
    # A name and a label that are the same name one entry.
    (alone,) = with_overrides({"models": [{"name": "vit", "label": "vit"}]}, ["models.vit.drop_path=0"])["models"]
    assert alone["drop_path"] == 0


def test_what_an_earlier_override_set_is_not_lost():
    part, whole = "optimization.optimizer.lr=0.1", 'optimization.optimizer={"kind": "adamw"}'
    ((pointer, message),) = refusals(part, whole)
    assert pointer == "/optimization/optimizer"
    assert message == f"`{whole}`: this replaces what `{part}` sets in it; write it before that one"
    spec = parse_spec(with_overrides(SPEC, [whole, part]))
    assert (spec.optimization.optimizer.kind, spec.optimization.optimizer.lr) == ("adamw", 0.1)


@pytest.mark.parametrize("text", ["9" * 5000, f"0..{'9' * 5000}", f"1,{'9' * 5000}"])
def test_a_seed_of_thousands_of_digits_is_a_message(text):
    assert [pointer for pointer, _ in refusals(f"models.{'9' * 5000}.width=1")] == ["/models"]
    assert refusals(f"seeds={text}") == [("", "`seeds`: a seed of 5,000 digits; seeds are below 2^31")]
