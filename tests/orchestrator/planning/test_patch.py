"""Merge patch: the examples of RFC 7396, its laws, and the rule for `kind`."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.spec.patch import UnknownPathError, merge_patch, set_path

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
keys = st.sampled_from(["a", "b", "c", "kind"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3))
objects = st.dictionaries(keys, values, max_size=3)
# The same examples in every run, however busy the machine.
law = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# RFC 7396, appendix A: all examples whose target and patch are objects.
@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "foo"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_examples_of_the_rfc(target, patch, expected):
    assert merge_patch(target, patch) == expected


def test_kind_replaces_the_object_whole_and_its_absence_does_not():
    target = {"optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9}}
    assert merge_patch(target, {"optimizer": {"kind": "adamw"}}) == {"optimizer": {"kind": "adamw"}}
    assert merge_patch(target, {"optimizer": {"kind": "sgd", "lr": 1}}) == {"optimizer": {"kind": "sgd", "lr": 1}}
    assert merge_patch(target, {"optimizer": {"lr": 1}}) == {"optimizer": {"kind": "sgd", "lr": 1, "momentum": 0.9}}


@law
@given(objects, objects)
def test_applying_twice_is_applying_once(target, patch):
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@law
@given(objects)
def test_an_empty_patch_changes_nothing(target):
    assert merge_patch(target, {}) == target


@law
@given(objects, objects)
def test_arguments_stay_as_they_are(target, patch):
    before = repr((target, patch))
    merge_patch(target, patch)
    assert repr((target, patch)) == before


@law
@given(objects, objects)
def test_every_scalar_of_the_patch_arrives(target, patch):
    merged = merge_patch(target, patch)
    for key, value in patch.items():
        if value is None:
            assert key not in merged
        elif not isinstance(value, dict):
            assert merged[key] == value


def test_set_path_sets_one_place_and_leaves_the_argument_alone():
    target = {"bias": {"kind": "gaussian", "sigma": 5.0}, "seed": 0}
    assert set_path(target, "bias.sigma", 2.0) == {"bias": {"kind": "gaussian", "sigma": 2.0}, "seed": 0}
    assert set_path(target, "bias", {"kind": "none"}) == {"bias": {"kind": "none"}, "seed": 0}
    assert target["bias"]["sigma"] == 5.0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("bias.sigm", "in `bias`: there is no field `sigm`; did you mean `sigma`? Valid: kind, sigma"),
        ("bais.sigma", "there is no field `bais`; did you mean `bias`? Valid: bias, seed"),
        ("seed.x", "`seed` has no fields, so `x` can't be set in it"),
        ("", "there is no field ``; valid: bias, seed"),
    ],
)
def test_an_unknown_path_says_what_is_valid(path, message):
    with pytest.raises(UnknownPathError) as caught:
        set_path({"bias": {"kind": "gaussian", "sigma": 5.0}, "seed": 0}, path, 1)
    assert str(caught.value) == message
