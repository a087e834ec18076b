"""The command that lists recipes; it knows no torch, so it answers at once."""

import json
import textwrap
from dataclasses import asdict

import typer

from api.cli.terminal import AsJson, out, write_json
from orchestrator.spec.recipes import RECIPES

_WIDTH = 100


def add_commands(application: typer.Typer) -> None:
    """Add this file's command."""
    application.command(epilog="Example: sigmalab recipes --json")(recipes)


def recipes(as_json: AsJson = False) -> None:
    """Name the recipes for `recipe` in a spec: what each sets, and where its values come from."""
    if as_json:
        write_json([asdict(recipe) for recipe in RECIPES.values()])
        return
    for recipe in RECIPES.values():
        out.print(f"[bold]{recipe.name}[/]")
        for text in (recipe.description, recipe.source):
            out.print(textwrap.indent(textwrap.fill(text, _WIDTH), "  "), markup=False)
        for field, value in recipe.patch.items():
            out.print(f"    {field}: {json.dumps(value)}", markup=False)
        out.print()
    out.print('In a spec: "recipe": "modern". Whatever the spec says itself stands above the recipe.', markup=False)
