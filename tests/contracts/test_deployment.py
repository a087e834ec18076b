"""The deployment page knows every setting."""

import re
from pathlib import Path

from orchestrator.settings import Settings

SETTINGS_FILE = Path(__file__).parents[2] / "deploy" / "sigmalab.env"


def test_the_settings_file_lists_every_setting() -> None:
    listed = set(re.findall(r"^#?([A-Z_]+)=", SETTINGS_FILE.read_text(), flags=re.MULTILINE))
    known = {str(field.validation_alias or f"SIGMALAB_{name.upper()}") for name, field in Settings.model_fields.items()}
    assert known <= listed
    assert listed - known == {"RAY_ADDRESS"}
