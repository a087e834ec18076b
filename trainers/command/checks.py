"""What is wrong with a command before it is run: names in braces, seeds, files."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from trainers.command.arguments import GIVEN, SEED, lists_within_words, names_in
from trainers.command.dataset import CommandDataset
from trainers.command.files import is_file, missing_scripts, named_files, started_scripts, words_of
from trainers.command.model import CommandModel
from trainers.config import TrialConfig
from trainers.own_code.place import own_code_here, refused

Place = tuple[str | int, ...]


def command_complaints(config: TrialConfig) -> Iterator[tuple[Place, str]]:
    """Place in the trial config and message of everything that is wrong.

    Args:
        config: of the task command.
    """
    model, dataset = cast("CommandModel", config.model), cast("CommandDataset", config.dataset)
    yield from _about_names(model, dataset)
    yield from _about_files(model, words_of(model.argv, {**dataset.arguments, **model.arguments}))


def _about_names(model: CommandModel, dataset: CommandDataset) -> Iterator[tuple[Place, str]]:
    used, values = names_in(model.argv), {**dataset.arguments, **model.arguments}
    known = ", ".join(f"{{{name}}}" for name in (*sorted(GIVEN), *values))
    for name in used:
        if name not in values and name not in GIVEN:
            yield (
                ("model", "argv"),
                f"nothing is called {{{name}}}; there are {known}. Write its value under `arguments`",
            )
    if any("\0" in word for word in (*model.argv, *words_of((), values))):
        yield ("model", "argv"), "a word of the command holds a NUL character, which no program can be called with"
    if SEED not in used:
        yield (
            ("model", "argv"),
            "the command does not say {seed}, and pairs differ by nothing else: hand it on, such as `--seed {seed}`",
        )
    for field, arguments in (("model", model.arguments), ("dataset", dataset.arguments)):
        for name in arguments:
            if name not in used:
                # An arm that changes it would train its control once more.
                message = f"the command does not say {{{name}}}, so nothing would reach the script: put it into `argv`"
                yield (field, "arguments", name), message
    for name in model.arguments.keys() & dataset.arguments.keys():
        yield ("dataset", "arguments", name), f"`{name}` is an argument of the model, too; one of them has to give way"
    for name in lists_within_words(model.argv, values):
        yield (
            ("model", "argv"),
            f"{{{name}}} is a list, which stands for words of its own, and not for a part of one: write it as a word",
        )


def _about_files(model: CommandModel, words: list[str]) -> Iterator[tuple[Place, str]]:
    here = own_code_here()
    folder = here.folder
    if folder is None and here.roots == ():
        yield ("model",), refused()
        return
    if folder is None:
        yield (
            ("model",),
            "a command runs in a copy of the folder that holds its script: name it as `code` of the experiment",
        )
        return
    for word in missing_scripts(words, folder):
        if Path(word).is_absolute():
            message = f"{word} lies outside of what is kept with the trials: write its path from the folder `code` on"
        else:
            message = f"there is no {word} in the folder that `code` names"
        yield ("model", "argv"), message
    program = model.argv[0]
    if is_file(folder, program):
        what = "python" if program.endswith(".py") else "bash"
        yield (
            ("model", "argv"),
            f"{program} is a file, and programs are sought on the path: write `{what} {program}`, as two words",
        )
    if not (model.files or any(named_files(words, folder)) or any(started_scripts(words, folder))):
        yield ("model", "argv"), "the command names no file in the folder that `code` names: what it runs can't be kept"
