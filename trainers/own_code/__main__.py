"""The child process that looks at the user's own code: `python -m trainers.own_code ANSWER < request`."""

import json
import sys
from pathlib import Path

from pydantic import TypeAdapter

from trainers.config import TrialConfig
from trainers.errors import TrainerError
from trainers.kinds import ModelConfig
from trainers.models.model import Model
from trainers.own_code.asking import Answer, model_facts, require_it_fits
from trainers.own_code.place import running


def main() -> None:
    """Read the request, look, write the answer."""
    request = json.loads(sys.stdin.buffer.read())
    file = Path(sys.argv[1])
    folder, data_root = (None if path is None else Path(path) for path in (request["folder"], request["data_root"]))
    try:
        with running(folder):
            answer = _answer(request["question"], json.dumps(request["about"]), data_root)
    except TrainerError as error:
        answer = Answer(trouble=str(error))
    file.write_text(answer.model_dump_json())


def _answer(question: str, about: str, data_root: Path | None) -> Answer:
    if question == "model":
        model: Model = TypeAdapter(ModelConfig).validate_json(about)
        return Answer(model=model_facts(model))
    require_it_fits(TrialConfig.model_validate_json(about), data_root)
    return Answer()


if __name__ == "__main__":
    main()
