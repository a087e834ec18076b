"""The child process that looks at the user's own code: `python -m trainers.own_code ANSWER < request`."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from trainers.config import TrialConfig
from trainers.data.python_dataset import PythonDataset
from trainers.errors import DataError, OwnCodeError, TrainerError
from trainers.kinds import ModelConfig
from trainers.models.model import Model
from trainers.own_code.asking import Answer, dataset_facts, model_facts, require_it_fits
from trainers.own_code.place import running


def main() -> None:
    """Read the request, look, write the answer."""
    request = json.loads(sys.stdin.buffer.read())
    file = Path(sys.argv[1])
    folder, data_root = (None if path is None else Path(path) for path in (request["folder"], request["data_root"]))
    try:
        with running(folder):
            answer = _answer(request, data_root)
    except OwnCodeError as error:
        answer = Answer(trouble=str(error), field=error.field)
    except TrainerError as error:
        answer = Answer(trouble=str(error), is_of_data=isinstance(error, DataError))
    file.write_text(answer.model_dump_json())


def _answer(request: dict[str, Any], data_root: Path | None) -> Answer:
    about = json.dumps(request["about"])
    if request["question"] == "model":
        model: Model = TypeAdapter(ModelConfig).validate_json(about)
        return Answer(model=model_facts(model))
    if request["question"] == "dataset":
        from trainers.own_code.images import require_same_again  # noqa: PLC0415  it needs torch

        dataset = PythonDataset.model_validate_json(about)
        facts = dataset_facts(dataset, data_root)
        require_same_again(dataset, data_root)
        return Answer(dataset=facts)
    require_it_fits(TrialConfig.model_validate_json(about), data_root, num_classes=request["num_classes"])
    return Answer()


if __name__ == "__main__":
    main()
