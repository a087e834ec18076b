"""What is given to Tune, in which order, and what of it survives a restart (real rows, no Ray)."""

import math
from datetime import UTC, datetime

import pytest

from orchestrator.driving.phases import ConfirmPhase, SearchPhase, open_confirm_trials
from orchestrator.driving.reuse import Reuse
from orchestrator.driving.work import Ending
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.hardware import Hardware
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.database import open_database
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import fail_trial, prune_trial, start_trial, succeed_trial
from tests.orchestrator.small_experiments import TINY, begin, rows_of, settings_in, spec_of, submit
from trainers.result import EpochReport, TrialResult

LR = "optimization.optimizer.lr"
LRS = [1e-4, 1e-3, 1e-2]


def searched(name: str, **search: object) -> dict:
    return {
        "name": name,
        "role": "control" if name == "control" else "treatment",
        "patch": {} if name == "control" else {"attention_bias": {"kind": "gaussian"}},
        "search": {
            "space": {"optimization.optimizer.lr": {"kind": "choice", "values": LRS}},
            "algorithm": {"kind": "grid"},
            "seeds": [100, 101],
            **search,
        },
    }


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield opened
    opened.close()


def result_of(top1: float, num_workers: int = 1) -> TrialResult:
    values = {f"{place}/{name}": top1 for place in ("best_val", "test") for name in ("top1", "top5", "loss")}
    epoch = EpochReport(epoch=0, metrics={"val/top1": top1}, seconds=1.0)
    return TrialResult(
        epochs=[epoch],
        best_epoch=0,
        metrics=values,
        predictions_file=None,
        training_seconds=1.0,
        provenance={"device": "cpu", "num_workers": str(num_workers)},
    )


class Play:
    """An experiment whose trials end as a test wishes."""

    def __init__(self, database, tmp_path, spec):
        self.database, self.spec = database, spec
        settings = settings_in(tmp_path)
        self.expansion = Expansion(spec, data_root=settings.effective_data_root)
        self.experiment_id = submit(database, settings, spec)
        self.attempt = begin(database, self.experiment_id)

    def reuse(self, *, is_own_only=False):
        hardware = Hardware.asked_for(self.spec.resources)
        return Reuse(
            self.database,
            self.experiment_id,
            self.attempt,
            is_own_only=is_own_only,
            hardware=hardware,
        )

    def phase(self, chosen=()):
        reuse = self.reuse(is_own_only=self.spec.reuse == "never")
        return SearchPhase(self.expansion, reuse, chosen=chosen)

    def succeed(self, trial, top1):
        result = result_of(top1, self.spec.resources.num_workers)
        with self.database.write() as session:
            start_trial(session, trial.row_id, self.attempt)
            succeed_trial(session, trial.row_id, result, self.attempt)
        return Ending(TrialStatus.SUCCEEDED, result_of(top1).metrics)

    def fail(self, trial, error):
        with self.database.write() as session:
            start_trial(session, trial.row_id, self.attempt)
            fail_trial(session, trial.row_id, error, self.attempt)
        return Ending(TrialStatus.FAILED, {}, error)


def top1_of(trial) -> float:
    """The middle learning rate is the best."""
    return {1e-4: 0.1, 1e-3: 0.9, 1e-2: 0.5}[trial.params["optimization.optimizer.lr"]]


@pytest.fixture
def play(database, tmp_path):
    return Play(database, tmp_path, spec_of(arms=[searched("control"), searched("gaussian")]))


def test_searches_take_turns_and_never_score_the_test_split(play):
    phase = play.phase()
    trials = []
    while (trial := phase.next_trial()) is not None:
        trials.append(trial)
    assert [trial.arm for trial in trials] == ["control", "gaussian"] * 6
    assert {trial.phase for trial in trials} == {Phase.SEARCH}
    assert all('"score_test":false' in trial.config for trial in trials)
    assert len(rows_of(play.database, play.experiment_id, Phase.SEARCH)) == 12
    assert not phase.is_exhausted


def test_the_phase_is_over_when_all_have_ended_and_chooses_the_best_mean(play):
    phase = play.phase()
    while (trial := phase.next_trial()) is not None:
        phase.trial_ended(trial, play.succeed(trial, top1_of(trial)))
    assert phase.is_exhausted
    assert [search.choose() for search in phase.searches.values()] == [{"optimization.optimizer.lr": 1e-3}] * 2


def test_for_a_loss_lower_is_better(database, tmp_path):
    play = Play(
        database, tmp_path, spec_of(arms=[searched("control"), searched("gaussian")], primary_metric="test/loss")
    )
    assert play.spec.search_metric == "best_val/loss"
    phase = play.phase()
    while (trial := phase.next_trial()) is not None:
        phase.trial_ended(trial, play.succeed(trial, top1_of(trial)))
    assert phase.searches[trial_key(play)].choose() == {"optimization.optimizer.lr": 1e-4}


def trial_key(play):
    return play.expansion.cells[0].key, "control"


@pytest.mark.parametrize("algorithm", [{"kind": "grid"}, {"kind": "random"}, {"kind": "optuna"}])
def test_another_attempt_asks_only_for_what_has_not_ended(database, tmp_path, algorithm):
    arms = [searched("control", algorithm=algorithm), searched("gaussian", algorithm=algorithm)]
    play = Play(database, tmp_path, spec_of(arms=arms))
    phase = play.phase()
    handed_out = [phase.next_trial() for _ in range(6)]
    for trial in handed_out[:3]:
        phase.trial_ended(trial, play.succeed(trial, top1_of(trial)))
    # The driver dies with three trials on the way.
    play.attempt = begin(database, play.experiment_id)
    phase = play.phase()
    again = []
    while (trial := phase.next_trial()) is not None:
        again.append(trial)
        phase.trial_ended(trial, play.succeed(trial, top1_of(trial)))
    assert phase.is_exhausted
    identities = [trial.identity for trial in again]
    assert {trial.identity for trial in handed_out[3:]} <= set(identities)
    assert not {trial.identity for trial in handed_out[:3]} & set(identities)
    assert len(identities) == len(set(identities))
    rows = rows_of(database, play.experiment_id, Phase.SEARCH)
    assert {row.status for row in rows} == {TrialStatus.SUCCEEDED}
    for (_, arm), search in phase.searches.items():
        tried = {row.params["optimization.optimizer.lr"] for row in rows if row.arm == arm}
        best = max(tried, key=lambda lr: {1e-4: 0.1, 1e-3: 0.9, 1e-2: 0.5}[lr])
        assert search.choose() == {"optimization.optimizer.lr": best}


@pytest.mark.parametrize("sampler", ["tpe", "cma_es"])
def test_a_killed_search_goes_on_with_the_points_it_would_have_proposed(database, tmp_path, sampler):
    """With one trial at a time and no early stopping: else the clock has a say."""
    space = {LR: {"kind": "log_uniform", "low": 1e-4, "high": 1e-1}}
    algorithm = {"kind": "optuna", "sampler": sampler}
    arm = searched("gaussian", space=space, algorithm=algorithm, num_candidates=10)

    def top1_of(trial):
        return round(1 / (1 + abs(math.log10(trial.params[LR]) + 2)) + trial.seed / 1e4, 6)

    def history(name, kills):
        play = Play(database, tmp_path, spec_of(name=name, arms=[TINY["arms"][0], arm], reuse="never"))
        phase = play.phase()
        step = 0
        while (trial := phase.next_trial()) is not None:
            # Killed with the trial on its way, or with its end written down, but not acted upon.
            if step not in kills or step % 2:
                ending = play.succeed(trial, top1_of(trial))
            if step in kills:
                play.attempt = begin(database, play.experiment_id)
                phase = play.phase()
            else:
                phase.trial_ended(trial, ending)
            step += 1
        assert phase.is_exhausted
        return [row.params for row in rows_of(database, play.experiment_id, Phase.SEARCH)]

    whole = history("whole", ())
    assert len(whole) == 20
    assert history("killed", (0, 5, 9, 16, 20)) == whole


def test_a_killed_race_remembers_who_has_run(database, tmp_path):
    arms = [TINY["arms"][0], searched("gaussian", early_stopping={"kind": "asha", "grace_epochs": 1})]
    play = Play(database, tmp_path, spec_of(arms=arms))
    phase = play.phase()
    assert [rules.past for rules in phase.races.values()] == [()]
    ended, running = phase.next_trial(), phase.next_trial()
    with database.write() as session:
        for epoch, value in enumerate((0.25, 0.5)):
            for trial in (ended, running):
                report = EpochReport(epoch=epoch, metrics={"val/top1": value}, seconds=1.0)
                record_epoch(session, trial.row_id, report, datetime.now(UTC), play.attempt)
    play.succeed(ended, 0.5)
    play.attempt = begin(database, play.experiment_id)
    # The one that was running is ranked when it goes on.
    assert [rules.past for rules in play.phase().races.values()] == [(((0, 0.25), (1, 0.5)),)]


def test_a_search_that_has_chosen_is_not_repeated(play):
    phase = play.phase(chosen=[trial_key(play)])
    assert [key[1] for key in phase.searches] == ["gaussian"]


def test_candidates_that_fail_are_out_and_their_reasons_kept(play):
    phase = play.phase()
    while (trial := phase.next_trial()) is not None:
        phase.trial_ended(trial, play.fail(trial, f"broke at {trial.params}"))
    search = phase.searches[trial_key(play)]
    assert search.choose() is None
    assert len(search.failures) == 3
    assert "broke at" in search.failures[0]


def test_finished_search_trials_of_another_experiment_are_taken_over(play, database, tmp_path):
    phase = play.phase()
    while (trial := phase.next_trial()) is not None:
        phase.trial_ended(trial, play.succeed(trial, top1_of(trial)))
    second = Play(database, tmp_path, spec_of(name="again", arms=[searched("control"), searched("gaussian")]))
    phase = second.phase()
    assert phase.next_trial() is None
    assert phase.is_exhausted
    assert {row.reused_from for row in rows_of(database, second.experiment_id, Phase.SEARCH)} == {play.experiment_id}
    assert phase.searches[trial_key(second)].choose() == {"optimization.optimizer.lr": 1e-3}


def test_confirm_trials_come_in_pair_order_without_those_that_have_ended(database, tmp_path):
    play = Play(database, tmp_path, spec_of(seeds=[5, 3]))
    planned = play.expansion.confirm_trials({})
    trials = open_confirm_trials(database, play.experiment_id, play.attempt, planned)
    assert [(trial.arm, trial.seed) for trial in trials] == [
        ("control", 5),
        ("gaussian", 5),
        ("control", 3),
        ("gaussian", 3),
    ]
    play.succeed(trials[0], 0.5)
    play.fail(trials[2], "no luck")
    trials = open_confirm_trials(database, play.experiment_id, play.attempt, planned)
    assert [(trial.arm, trial.seed) for trial in trials] == [("gaussian", 5), ("gaussian", 3)]


def test_a_training_that_two_arms_ask_for_is_given_out_once(database, tmp_path):
    play = Play(database, tmp_path, spec_of(arms=[*TINY["arms"], searched("twin")]))
    key = (play.expansion.cells[0].key, "twin")
    lr = play.expansion.config_of(play.expansion.cells[0], "control").optimization.optimizer.lr
    other = play.expansion.confirm_trials({key: {"optimization.optimizer.lr": lr, "attention_bias.sigma": 2.0}})
    trials = open_confirm_trials(database, play.experiment_id, play.attempt, other)
    work = ConfirmPhase(trials)
    given = []
    while (trial := work.next_trial()) is not None:
        given.append(trial)
    assert [trial.arm for trial in given] == ["control", "gaussian"] * 2
    for trial in given:
        play.succeed(trial, 0.5)
    assert play.reuse(is_own_only=True).apply([trial for trial in trials if trial.arm == "twin"]) == []
    assert {row.status for row in rows_of(database, play.experiment_id)} == {TrialStatus.SUCCEEDED}


def test_reuse_never_knows_nothing_of_other_experiments(database, tmp_path):
    first = Play(database, tmp_path, spec_of())
    trials = open_confirm_trials(database, first.experiment_id, 1, first.expansion.confirm_trials({}))
    for trial in trials:
        first.succeed(trial, 0.5)
    second = Play(database, tmp_path, spec_of(name="again"))
    trials = open_confirm_trials(database, second.experiment_id, 1, second.expansion.confirm_trials({}))
    assert second.reuse(is_own_only=True).apply(trials) == trials
    assert second.reuse().apply(trials) == []


def test_a_training_by_another_number_of_workers_does_not_stand_in(database, tmp_path):
    """Each worker draws its own dropout: a pair trained half by one and half by two differs by more than its arms."""
    alone, again, in_twos = (
        Play(database, tmp_path, spec_of(name=name, resources={"num_workers": num_workers}))
        for name, num_workers in (("alone", 1), ("again", 1), ("in-twos", 2))
    )
    for play in (alone, in_twos):
        trials = open_confirm_trials(database, play.experiment_id, 1, play.expansion.confirm_trials({}))
        assert play.reuse().apply(trials) == trials
        for trial in trials:
            play.succeed(trial, 0.5)
    trials = open_confirm_trials(database, again.experiment_id, 1, again.expansion.confirm_trials({}))
    assert again.reuse().apply(trials) == []
    assert {row.reused_from for row in rows_of(database, again.experiment_id)} == {alone.experiment_id}


def test_a_training_on_a_cpu_does_not_stand_in_on_a_gpu(database, tmp_path):
    """They round differently: such a pair would differ by more than its arms."""
    on_cpu = Play(database, tmp_path, spec_of())
    on_gpu = Play(database, tmp_path, spec_of(name="gpu", resources={"gpus_per_worker": 0.5}))
    for trial in open_confirm_trials(database, on_cpu.experiment_id, 1, on_cpu.expansion.confirm_trials({})):
        on_cpu.succeed(trial, 0.5)
    trials = open_confirm_trials(database, on_gpu.experiment_id, 1, on_gpu.expansion.confirm_trials({}))
    assert on_gpu.reuse().apply(trials) == trials


def test_a_training_that_two_searches_ask_for_is_given_out_once(database, tmp_path):
    """At the same time, too: two processes would write into one folder."""
    twin = searched("twin")
    twin["search"]["space"] |= {"attention_bias.sigma": {"kind": "choice", "values": [2.0]}}
    gaussian = searched("gaussian")
    gaussian["patch"] = twin["patch"] = {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}
    play = Play(database, tmp_path, spec_of(arms=[TINY["arms"][0], gaussian, twin]))
    phase = play.phase()
    given = []
    while (trial := phase.next_trial()) is not None:
        given.append(trial)
    assert len({trial.identity for trial in given}) == len(given) == 6
    assert not phase.is_exhausted
    for trial in given[:5]:
        phase.trial_ended(trial, play.succeed(trial, top1_of(trial)))
    phase.trial_ended(given[5], play.fail(given[5], "no luck"))
    assert phase.next_trial() is None
    assert phase.is_exhausted
    rows = rows_of(database, play.experiment_id, Phase.SEARCH)
    assert (len(rows), sum(row.attempt for row in rows)) == (12, 6)
    assert [row.error for row in rows if row.status == TrialStatus.FAILED] == ["no luck"] * 2


def test_a_twin_of_one_that_was_stopped_early_is_trained(database, tmp_path):
    """It ran in another race, where it might have been ahead."""
    arms = [TINY["arms"][0]]
    for name in ("first", "second"):
        arm = searched(name, early_stopping={"kind": "asha"}, seeds=[100])
        arms.append({**arm, "search": {**arm["search"], "space": {LR: {"kind": "choice", "values": [1e-4]}}}})
    arms[2]["search"]["space"] |= {"attention_bias.sigma": {"kind": "choice", "values": [2.0]}}
    arms[1]["patch"] = arms[2]["patch"] = {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}
    play = Play(database, tmp_path, spec_of(arms=arms))
    phase = play.phase()
    trial = phase.next_trial()
    assert phase.next_trial() is None
    with database.write() as session:
        start_trial(session, trial.row_id, play.attempt)
        prune_trial(session, trial.row_id, "stopped early", play.attempt)
    phase.trial_ended(trial, Ending(TrialStatus.PRUNED, {}, "stopped early"))
    twin = phase.next_trial()
    assert (twin.identity, twin.arm != trial.arm, twin.race != trial.race) == (trial.identity, True, True)
    phase.trial_ended(twin, play.succeed(twin, 0.5))
    assert phase.is_exhausted
