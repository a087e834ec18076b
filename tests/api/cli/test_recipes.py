"""`sigmalab recipes` as a user types it."""

import json

from typer.testing import CliRunner

from api.cli.application import application
from orchestrator.spec.recipes import RECIPES


def test_recipes_are_named_with_what_they_set_and_where_it_comes_from() -> None:
    shown = CliRunner().invoke(application, ["recipes"])
    assert shown.exit_code == 0
    words = " ".join(shown.stdout.split())
    for recipe in RECIPES.values():
        assert recipe.name in shown.stdout
        assert recipe.description in words
        assert recipe.source in words
        assert f"augmentation: {json.dumps(recipe.patch['augmentation'])}" in shown.stdout


def test_recipes_as_json_are_patches_to_build_on() -> None:
    shown = json.loads(CliRunner().invoke(application, ["recipes", "--json"]).stdout)
    assert {recipe["name"]: recipe["patch"] for recipe in shown} == {
        name: recipe.patch for name, recipe in RECIPES.items()
    }
