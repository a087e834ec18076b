"""What is seen of a model in a terminal: tables that fit, with short remarks that are explained."""

from io import StringIO
from typing import Any, get_args

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from api.cli import learned_bias, receptive_field
from api.cli.application import application
from trainers.analyses.study import BiasStudy, Study
from trainers.result import FitVerdict


def shown(table: RenderableType, width: int) -> str:
    text = StringIO()
    Console(file=text, width=width, soft_wrap=True).print(table)
    assert "…" not in text.getvalue()
    return text.getvalue()


@pytest.mark.parametrize("command", ["receptive-field", "learned-bias"])
def test_a_slip_in_an_intervention_is_told_before_torch_is_loaded(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a process was started"))
    answer = CliRunner().invoke(application, [command, "small_vit", "--intervention", "gausian"])
    assert answer.exit_code == 2
    assert "did you mean gaussian?" in answer.stderr


def seen(intervention: str, place: tuple[int, int], remark: str) -> dict[str, Any]:
    """On 8 x 8 tokens of 4 pixels: the Gaussian's centre lies 1.5 tokens right of the token's, and 2 below."""
    fit = {
        "center_x": (place[1] + 0.5 + 1.5) * 4 - 0.5,
        "center_y": (place[0] + 0.5 + 2.0) * 4 - 0.5,
        "sigma_x": 8.0,
        "sigma_y": 4.0,
        "height": 1.0,
        "floor": 0.0,
        "r_squared": 0.5,
        "is_wider_than_map": False,
    }
    metrics = {
        "fit_px": fit,
        "sigma_x_tokens": 2.0,
        "sigma_y_tokens": 1.0,
        "anisotropy": 2.0,
        "rms_radius_tokens": 12.34,
        "mass_within_tokens": {"2.5": 1.0},
        "area_50_fraction": 0.0002,
        "area_90_fraction": 0.2345,
    }
    return {
        "key": "k",
        "intervention": intervention,
        "place": place,
        "grid": (8, 8),
        "num_images": 9,
        "gradient_sum": 1.0,
        "metrics": metrics,
        "remark": remark,
        "warnings": (),
    }


def test_a_receptive_field_fits_its_terminal() -> None:
    study = Study.model_validate(
        {
            "model": "vit_relpos_small_patch16_224",
            "dataset": "digits",
            "fields": [
                seen("reinitialise-position", (0, 0), "not a Gaussian (R^2 0.12): the widths describe little"),
                seen("reinitialise-position", (0, 2), "not a Gaussian (R^2 0.34): the widths describe little"),
                seen("none", (0, 0), ""),
                seen("none", (0, 2), "not a Gaussian (R^2 0.56): the widths describe little"),
            ],
        }
    )
    for width, unseen in ((60, ("anisotropy", "centre off by")), (80, ()), (120, ())):
        table = receptive_field._table(study, width)
        assert table.left_out == unseen
        text = shown(table.table, width)
        assert max(map(len, text.splitlines())) <= width
        assert text.count("<0.1 %  23.4 %" if unseen else "<0.1 %  23.4 %    2.00    2.50") == 4
    assert list(receptive_field._remarks(study)) == [
        "reinitialise-position, all 2 tokens: not a Gaussian: the widths describe little",
        "none, token 0,2: not a Gaussian: the widths describe little",
    ]


def test_a_layers_bias_stands_in_neighbouring_rows() -> None:
    def fit(
        part: str, layer: int | None, head: int | None = None, verdict: str | None = "gaussian", **more: float
    ) -> dict[str, Any]:
        return {"part": part, "layer": layer, "head": head, "verdict": verdict, "remark": "in words", **more}

    study = BiasStudy.model_validate(
        {
            "model": "small_vit",
            "good_r_squared": 0.75,
            "looks": [
                {
                    "intervention": "gaussian",
                    "fits": [
                        fit("own", 0, sigma_x=150, sigma_y=101.25, height=-10.5, r_squared=0.9, verdict="hollow"),
                        fit("own", 0, 0, "off_centre", offset=2.3),
                        fit("sum", 0, verdict="nothing_learned"),
                        fit("sum", 0, 0, "not_fitted"),
                        fit("own", 1, verdict="no_gaussian"),
                        fit("own", 1, 0),
                        fit("sum", 1),
                        fit("absolute", None),
                    ],
                    "attention_bias": "gaussian",
                    "gaussians": {"sigma/00": 2.0, "amplitude/00": 1.5, "sigma/01": 2.0, "amplitude/01": 0.0},
                }
            ],
        }
    )
    rows = learned_bias._rows(study.looks[0])
    assert [(row.layer, row.part, row.head, row.remark) for row in rows] == [
        (0, "own", None, "hollow"),
        (0, "gaussian", None, ""),
        (0, "sum", None, "nothing learned"),
        (0, "own", 0, "off centre 2.3"),
        (0, "sum", 0, "not fitted"),
        (1, "own", None, "no Gaussian"),
        (1, "own", 0, ""),
        (None, "absolute", None, ""),
    ]
    # A^2.
    assert rows[1].height == "2.250"
    text = shown(learned_bias._table("small_vit", rows, 80).table, 80)
    # A title, a heading, the intervention, and each row in one line.
    assert len(text.splitlines()) == 3 + len(rows)
    assert max(map(len, text.splitlines())) <= 80
    notes = learned_bias._notes(study, rows)
    assert "intervention gaussian: the Gaussian is off in layer 1" in notes
    for short in ("hollow", "nothing learned", "off centre", "not fitted", "no Gaussian"):
        assert sum(note.startswith(f"{short}: ") for note in notes) == 1, short
    assert not any(note.startswith(("narrow", "wide")) for note in notes)
    assert "no Gaussian: R^2 below 0.75, so that sigma and height describe nothing" in notes


def test_every_verdict_has_its_words() -> None:
    assert {*learned_bias._WORDS, "gaussian"} == set(get_args(FitVerdict))
