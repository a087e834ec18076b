"""Experiments: status moves, the fence, cancelling, what a search chose, paging."""

import pytest
from sqlalchemy import select

from orchestrator.errors import ExperimentNotFoundError, StaleAttemptError, StatusConflictError
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import ALLOWED_MOVES, AttemptEnd, ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.events import events_after
from orchestrator.store.experiments import (
    avoid_node,
    begin_attempt,
    chosen_params,
    end_attempt,
    get_experiment,
    heartbeat,
    insert_experiment,
    is_cancel_requested,
    list_experiments,
    move,
    new_experiment_id,
    newest_attempt,
    request_cancel,
    seconds_since_heartbeat,
    set_chosen_params,
    unfinished_experiments,
    update_spec,
)
from orchestrator.store.tables import ExperimentRow

QUEUED, STARTING, RUNNING, CANCELLING, SUCCEEDED, FAILED, CANCELLED = ExperimentStatus


def set_status(database: Database, experiment_id: str, status: ExperimentStatus) -> None:
    with database.write() as session:
        get_experiment(session, experiment_id).status = status


@pytest.mark.parametrize("before", ExperimentStatus, ids=str)
def test_every_move_is_made_or_refused(
    database: Database, small_spec: ExperimentSpec, before: ExperimentStatus
) -> None:
    for to in ExperimentStatus:
        with database.write() as session:
            experiment_id = insert_experiment(session, small_spec, "digest").id
        set_status(database, experiment_id, before)
        if to in ALLOWED_MOVES[before]:
            with database.write() as session:
                move(session, experiment_id, to, "because")
            expected = (to, "because", ["queued", to])
        else:
            message = f"{experiment_id} is {before}; it can't become {to}"
            with pytest.raises(StatusConflictError, match=message), database.write() as session:
                move(session, experiment_id, to, "because")
            expected = (before, "", ["queued"])
        with database.read() as session:
            row, events = get_experiment(session, experiment_id), events_after(session, experiment_id)
        told = [event.payload["status"] for event in events if event.kind == "status"]
        assert (row.status, row.reason, told) == expected
        has_ended = to in ALLOWED_MOVES[before] and to.is_final
        assert (row.ended_at is not None) == (events[-1].kind == "end") == has_ended


def test_a_new_experiment_is_described_by_its_spec(database: Database, small_spec: ExperimentSpec) -> None:
    with database.write() as session:
        row = insert_experiment(session, small_spec, "digest")
    assert (row.name, row.control, row.num_pairs, row.num_confirm_trials, row.num_search_trials) == (
        "small", "control", 2, 4, 0,
    )  # fmt: skip
    assert ExperimentSpec.model_validate_json(row.spec) == small_spec


def test_ids_sort_by_time() -> None:
    ids = [new_experiment_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert {len(one) for one in ids} == {15}
    # Within a millisecond the order is random.
    assert [one[:8] for one in ids] == sorted(one[:8] for one in ids)


def test_an_unknown_id_is_named(database: Database) -> None:
    with database.read() as session, pytest.raises(ExperimentNotFoundError, match="no experiment has the id 'nobody'"):
        get_experiment(session, "nobody")


def test_pages_meet_without_gap_or_overlap(database: Database, small_spec: ExperimentSpec) -> None:
    with database.write() as session:
        ids = sorted((insert_experiment(session, small_spec, "digest").id for _ in range(5)), reverse=True)
    with database.read() as session:
        first = [row.id for row in list_experiments(session, limit=2)]
        rest = [row.id for row in list_experiments(session, limit=10, before_id=first[-1])]
    assert first + rest == ids


def test_lists_filter_by_status(database: Database, small_spec: ExperimentSpec) -> None:
    with database.write() as session:
        ids = [insert_experiment(session, small_spec, "digest").id for _ in range(3)]
        move(session, ids[1], CANCELLED)
    with database.read() as session:
        assert [row.id for row in list_experiments(session, limit=9, status=CANCELLED)] == [ids[1]]
        assert {row.id for row, _ in unfinished_experiments(session)} == {ids[0], ids[2]}


# ---- attempts and the fence ----


def test_an_attempt_begins_only_when_the_one_before_has_ended(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        assert begin_attempt(session, experiment_id, "job-1") == 1
    with pytest.raises(StatusConflictError, match=r"attempt 1 .* is not known to be dead"), database.write() as session:
        begin_attempt(session, experiment_id, "job-2")
    with database.write() as session:
        end_attempt(session, experiment_id, 1, AttemptEnd.CRASHED, "killed")
        assert begin_attempt(session, experiment_id, "job-2") == 2
    with database.read() as session:
        newest = newest_attempt(session, experiment_id)
    assert (newest.number, newest.job_id, newest.ended_at, newest.error) == (2, "job-2", None, "")


@pytest.mark.parametrize("status", [SUCCEEDED, FAILED, CANCELLED])
def test_an_experiment_that_has_ended_takes_no_attempt(
    database: Database, experiment_id: str, status: ExperimentStatus
) -> None:
    set_status(database, experiment_id, status)
    with pytest.raises(StatusConflictError, match=f"is {status}; it takes no further"), database.write() as session:
        begin_attempt(session, experiment_id, None)


def test_a_replaced_attempt_may_write_nothing(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        begin_attempt(session, experiment_id, "job-1")
        end_attempt(session, experiment_id, 1, AttemptEnd.CRASHED)
        begin_attempt(session, experiment_id, "job-2")
        move(session, experiment_id, STARTING)
    for write in (
        lambda session: move(session, experiment_id, RUNNING, attempt=1),
        lambda session: heartbeat(session, experiment_id, 1),
        lambda session: set_chosen_params(session, experiment_id, "m/d", "gaussian", {}, 1),
    ):
        with pytest.raises(StaleAttemptError, match=r"attempt 1 .* replaced by attempt 2"), database.write() as session:
            write(session)
    with database.write() as session:
        move(session, experiment_id, RUNNING, attempt=2)


def test_an_ended_attempt_may_write_nothing(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        begin_attempt(session, experiment_id, "job-1")
        end_attempt(session, experiment_id, 1, AttemptEnd.CRASHED)
    with pytest.raises(StaleAttemptError, match=r"attempt 1 .* has ended"), database.write() as session:
        heartbeat(session, experiment_id, 1)


def test_an_attempt_that_never_was_may_write_nothing(database: Database, experiment_id: str) -> None:
    with pytest.raises(StaleAttemptError), database.write() as session:
        heartbeat(session, experiment_id, 1)


def test_a_final_status_ends_the_attempt(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        attempt = begin_attempt(session, experiment_id, "job-1")
        move(session, experiment_id, STARTING)
        move(session, experiment_id, RUNNING, attempt=attempt)
        move(session, experiment_id, FAILED, "no data", attempt=attempt)
    with database.read() as session:
        ended = newest_attempt(session, experiment_id)
    assert ended.ended_at is not None
    assert ended.error == "no data"


def test_ending_an_attempt_twice_keeps_the_first_cause(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        begin_attempt(session, experiment_id, "job-1")
        end_attempt(session, experiment_id, 1, AttemptEnd.CRASHED, "killed")
        end_attempt(session, experiment_id, 1, AttemptEnd.SILENT, "something else")
    with database.read() as session:
        ended = newest_attempt(session, experiment_id)
        assert (ended.error, ended.ended_by) == ("killed", "crashed")
        assert get_experiment(session, experiment_id).attempt_ends == {"crashed": 1}


def test_attempts_in_vain_are_counted_by_their_end(database: Database, experiment_id: str) -> None:
    for number, end in enumerate((AttemptEnd.CRASHED, AttemptEnd.TERMINATED, AttemptEnd.CRASHED), start=1):
        with database.write() as session:
            begin_attempt(session, experiment_id, f"job-{number}")
        with database.write() as session:
            end_attempt(session, experiment_id, number, end)
    with database.read() as session:
        assert get_experiment(session, experiment_id).attempt_ends == {"crashed": 2, "terminated": 1}


def test_a_heartbeat_is_as_old_as_the_databases_clock_says(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        attempt = begin_attempt(session, experiment_id, None)
        assert seconds_since_heartbeat(session, newest_attempt(session, experiment_id)) is None
        heartbeat(session, experiment_id, attempt)
    with database.read() as session:
        assert 0 <= seconds_since_heartbeat(session, newest_attempt(session, experiment_id)) < 10


# ---- cancel ----


@pytest.mark.parametrize(
    ("before", "after"), [(QUEUED, CANCELLED), (STARTING, CANCELLING), (RUNNING, CANCELLING), (CANCELLING, CANCELLING)]
)
def test_cancel_is_immediate_only_if_nothing_has_started(
    database: Database, experiment_id: str, before: ExperimentStatus, after: ExperimentStatus
) -> None:
    set_status(database, experiment_id, before)
    with database.write() as session:
        request_cancel(session, experiment_id)
    with database.read() as session:
        assert get_experiment(session, experiment_id).status == after
        assert is_cancel_requested(session, experiment_id)


@pytest.mark.parametrize("status", [SUCCEEDED, FAILED, CANCELLED])
def test_cancel_of_a_finished_experiment_names_its_status(
    database: Database, experiment_id: str, status: ExperimentStatus
) -> None:
    set_status(database, experiment_id, status)
    with pytest.raises(StatusConflictError, match=f"already {status}; there is nothing"), database.write() as session:
        request_cancel(session, experiment_id)


def test_cancelling_twice_keeps_the_first_moment(database: Database, experiment_id: str) -> None:
    set_status(database, experiment_id, RUNNING)
    with database.write() as session:
        first = request_cancel(session, experiment_id).cancel_requested_at
    with database.write() as session:
        assert request_cancel(session, experiment_id).cancel_requested_at == first


def test_avoided_nodes_are_those_of_the_newest_attempt(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        begin_attempt(session, experiment_id, None)
        avoid_node(session, experiment_id, "gpu-1", "no such folder", 1)
        avoid_node(session, experiment_id, "gpu-2", "stale", 1)
    with database.read() as session:
        assert get_experiment(session, experiment_id).avoided_nodes == {"gpu-1": "no such folder", "gpu-2": "stale"}
    with database.write() as session:
        end_attempt(session, experiment_id, 1, AttemptEnd.CRASHED)
        begin_attempt(session, experiment_id, None)
    with database.read() as session:
        assert get_experiment(session, experiment_id).avoided_nodes == {}
    with pytest.raises(StaleAttemptError), database.write() as session:
        avoid_node(session, experiment_id, "gpu-1", "no such folder", 1)


# ---- a second round ----


def test_a_second_round_forgets_the_first_ones_cancel_and_attempts(
    database: Database, experiment_id: str, small_spec: ExperimentSpec
) -> None:
    with database.write() as session:
        begin_attempt(session, experiment_id, "job-1")
        move(session, experiment_id, STARTING)
        request_cancel(session, experiment_id)
        move(session, experiment_id, CANCELLED)
        row = get_experiment(session, experiment_id)
        row.attempt_ends = {"crashed": 4}
    with database.write() as session:
        row = get_experiment(session, experiment_id, lock=True)
        update_spec(session, row, small_spec.model_copy(update={"seeds": (0, 1, 2)}), "other digest")
        move(session, experiment_id, QUEUED, "extended")
    with database.read() as session:
        row = get_experiment(session, experiment_id)
    assert (row.digest, row.num_pairs, row.num_confirm_trials) == ("other digest", 3, 6)
    assert (row.cancel_requested, row.attempt_ends, row.ended_at) == (False, {}, None)


def test_what_a_search_chose_stays(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        attempt = begin_attempt(session, experiment_id, None)
        set_chosen_params(session, experiment_id, "m/d", "gaussian", {"attention_bias.sigma": 2.0}, attempt)
    with database.write() as session:
        set_chosen_params(session, experiment_id, "m/d", "gaussian", {"attention_bias.sigma": 9.0}, attempt)
        set_chosen_params(session, experiment_id, "m/e", "gaussian", {}, attempt)
    with database.read() as session:
        row = session.scalars(select(ExperimentRow)).one()
    assert chosen_params(row) == {("m/d", "gaussian"): {"attention_bias.sigma": 2.0}, ("m/e", "gaussian"): {}}
