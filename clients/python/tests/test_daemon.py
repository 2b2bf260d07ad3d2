"""Client and Actor against a real daemon."""

from __future__ import annotations

import json
import pathlib
import threading
import time

import numpy as np
import pytest
from conftest import Daemon, Start, wait_for

import pmpo


def outcomes(seed: int, groups: int = 4) -> dict[str, np.ndarray]:
    y = np.random.default_rng(seed).standard_normal((4 * groups, 2)).astype(np.float32)
    group = np.repeat(np.arange(groups), 4)
    return {"outcome": y, "group": group, "evaluation": -(y**2).sum(axis=1)}


def test_a_run_from_python(pmpod: Start, tmp_path: pathlib.Path) -> None:
    d = pmpod()
    with pmpo.Actor("ann", url=d.desk) as actor, pmpo.Client(d.desk) as client:
        assert actor.run.run_id == client.run.run_id
        assert client.run.spec.action == pmpo.ActionSpec("box", 2, -1.0, 1.0)
        mirror = actor.follow()
        first = mirror.policy
        acks = [actor.append_outcomes(**outcomes(i), ref_version=first.version) for i in range(30)]
        chunks = [ack.result(30).chunk for ack in acks]
        assert len(set(chunks)) == 30
        assert acks[0].result().rows == 16
        assert str(acks[0].result().item(2, 3)) == f"{chunks[0]}:2+3"
        assert actor.stats.rows_acked == 480 and actor.stats.pending == 0

        actor.report({"return": 1.5, "length": 7.0}, env_steps=480)
        status = client.status()
        assert status.text["run_name"] == "test"
        (row,) = status.actors
        assert (row.name, row.rows, row.last_seq, row.env_steps) == ("ann", 480, 30, 480)
        assert row.value == {"return": 1.5, "length": 7.0}

        newer = mirror.wait(first.version + 1, timeout=30)
        assert newer.version > first.version
        assert not np.array_equal(newer.mean(), first.mean())

        wait_for(lambda: {"learner.kl", "actor.return"} <= set(client.history_names()))
        wait_for(lambda: len(client.history("actor.return")["actor.return"]) > 0)
        series = client.history(["actor.return", "learner.kl"])
        assert series["actor.return"].value.tolist() == [1.5]
        assert 0 < series["actor.return"].env_steps[0] <= 480  # as far as the learner had seen
        age = np.datetime64(time.time_ns(), "ns") - series["actor.return"].time[0]
        assert np.timedelta64(0) <= age < np.timedelta64(600, "s")
        assert len(series["learner.kl"]) == len(series["learner.kl"].step) > 0
        assert client.history([]) == {}
        assert client.events()[0].kind == "start"

    with pmpo.Client(d.desk, "operator") as operator:
        assert operator.pause()["done"] == "pause"
        wait_for(lambda: operator.status().state == "paused")
        assert operator.set("optim.lr", 0.02)["new"] == "0.02"
        with pytest.raises(pmpo.InvalidError, match=r"no\.such"):
            operator.set("no.such", 1)
        operator.resume()
        assert operator.checkpoint()["done"] == "checkpoint"
        path = operator.export(tmp_path / "policy.safetensors")
        header = path.read_bytes()
        size = int.from_bytes(header[:8], "little")
        assert "policy/mean_raw" in json.loads(header[8 : 8 + size])
        assert not list(tmp_path.glob("*.part"))
        weights = operator.weights()
        assert set(weights) == {"policy/mean_raw", "policy/std_raw"}
    with pmpo.Client(d.desk) as client, pytest.raises(pmpo.ForbiddenError):
        client.pause()


def test_weights_by_version_and_by_waiting(pmpod: Start) -> None:
    d = pmpod({"spec.observation": "[3]", "policy.hidden": "[700, 700]"})
    with pmpo.Client(d.desk) as client:
        weights = client.weights(wait=30)
        assert weights.flat.nbytes > 1 << 20  # several ranges
        assert weights["policy/linear_1/weight"].shape == (700, 700)
        assert client.weights(version=weights.version).hash == weights.hash
        policy = pmpo.Policy(weights.policy, weights)
        assert policy.sample(np.random.default_rng(1), np.zeros((5, 3)), 2).shape == (10, 2)
        began = time.monotonic()
        with pytest.raises(pmpo.NotFoundError):
            client.weights(newer_than=weights.version, wait=0.3)
        assert time.monotonic() - began >= 0.3
        with pytest.raises(pmpo.NotFoundError):
            client.weights(version=10**9)
        with pmpo.Client(d.desk, "operator") as operator:
            got: list[pmpo.Weights] = []
            ask = threading.Thread(
                target=lambda: got.append(client.weights(newer_than=weights.version, wait=30))
            )
            ask.start()
            operator.refresh()
            ask.join(30)
            assert got[0].version > weights.version


def test_columns_are_checked_before_they_are_sent(pmpod: Start) -> None:
    d = pmpod({"spec.observation": "[3]", "limits.chunk_rows": "64"})
    good = outcomes(1)
    x = np.zeros((4, 3), np.float32)
    with pmpo.Actor("ann", url=d.desk) as actor:
        for change, words in (
            ({"outcome": np.zeros((16, 3))}, "outcome"),
            ({"outcome": np.full((16, 2), np.nan)}, "finite"),
            ({"group": np.arange(16)[::-1]}, "neighbours"),
            ({"condition": x[:3]}, "condition"),
            ({"condition": None}, "condition"),
            ({"evaluation": np.zeros(15)}, "evaluation"),
            ({"verdict": np.full(16, 2)}, "verdict"),
            ({"weight": np.full(16, -1.0)}, "weight"),
            ({"items": [pmpo.Item(8, 4), pmpo.Item(10)]}, "item 10"),
        ):
            with pytest.raises(pmpo.InvalidError, match=words):
                actor.append_outcomes(**{**good, "condition": x, **change})
        with pytest.raises(pmpo.TooLargeError, match="64"):
            actor.append_outcomes(np.zeros((65, 2)), condition=np.zeros((65, 3)))
        with pytest.raises(pmpo.TooLargeError, match="actor_state"):
            actor.append_outcomes(**good, condition=x, actor_state=bytes(65537))
        assert actor.append_outcomes(**good, condition=x).result(30).rows == 16


def test_the_spec_must_fit(pmpod: Start) -> None:
    d = pmpod()
    wrong = pmpo.Spec("outcomes", pmpo.ActionSpec("box", 3, -1.0, 1.0))
    with pytest.raises(pmpo.ConflictError):
        pmpo.Actor("ann", wrong, d.desk)
    right = pmpo.Spec("outcomes", pmpo.ActionSpec("box", 2, -1.0, 1.0))
    with pmpo.Actor("ann", right, d.desk) as actor:
        assert actor.run.epoch == 1


def test_a_second_actor_of_the_name_fences_the_first(pmpod: Start) -> None:
    d = pmpod()
    first = pmpo.Actor("ann", url=d.desk)
    first.append_outcomes(**outcomes(1), actor_state=b"where I was").result(30)
    with pmpo.Actor("ann", url=d.desk) as second:
        assert second.run.epoch == 2
        assert second.run.actor_state == b"where I was"
        assert second.run.actor_rows == 16
        with pytest.raises(pmpo.ConflictError):
            first.append_outcomes(**outcomes(2)).result(30)
        with pytest.raises(pmpo.ConflictError):
            first.flush()
        second.append_outcomes(**outcomes(3)).result(30)
    first.close()


def test_a_chunk_that_the_daemon_refuses_ends_the_actor(pmpod: Start) -> None:
    d = pmpod()
    actor = pmpo.Actor("ann", url=d.desk)
    chunk = pmpo.actor.pb.Chunk(source=pmpo.actor.pb.SOURCE_ACTOR, rows=3)
    with pytest.raises(pmpo.InvalidError):
        actor.append_chunk(chunk).result(30)
    with pytest.raises(pmpo.InvalidError):
        actor.append_outcomes(**outcomes(1))
    actor.close()
    with pytest.raises(pmpo.InvalidError):
        actor.flush()


def test_the_end_of_the_run_ends_the_actor(pmpod: Start) -> None:
    d = pmpod({"run.max_steps": "5"})
    with pmpo.Actor("ann", url=d.desk) as actor:
        with pytest.raises(pmpo.RunCompleteError):
            for i in range(1000):
                actor.append_outcomes(**outcomes(i)).result(30)
        assert actor.complete


def append_all(d: Daemon, actor: pmpo.Actor, until: threading.Event) -> int:
    rows = 0
    for i in range(100_000):
        if until.is_set():
            break
        actor.append_outcomes(**outcomes(i))
        rows += 16
        time.sleep(0.001)
    actor.flush(60)
    return rows


def test_a_killed_daemon_loses_nothing_and_counts_nothing_twice(pmpod: Start) -> None:
    d = pmpod({"learner.samples_per_insert": "0"})
    done = threading.Event()
    rows: list[int] = []
    with (
        pmpo.Actor("ann", url=d.desk, request_timeout=1.0) as actor,
        pmpo.Client(d.desk, request_timeout=1.0) as client,
    ):
        worker = threading.Thread(target=lambda: rows.append(append_all(d, actor, done)))
        worker.start()
        for _ in range(3):
            before = actor.stats.rows_acked
            wait_for(lambda before=before: actor.stats.rows_acked > before + 160)
            d.kill()
            d.start()
        before = actor.stats.rows_acked
        wait_for(lambda: actor.stats.rows_acked > before + 160)
        done.set()
        worker.join(60)
        stats = actor.stats
        assert stats.pending == 0
        assert [stats.rows_acked] == rows
        status = client.status()
        assert status["store.rows"] == stats.rows_acked
        assert status.actors[0].rows == stats.rows_acked
        assert status.actors[0].last_seq == stats.acked
        assert status.actors[0].epoch == 1


def test_a_daemon_that_comes_back_as_another_run_is_refused(
    pmpod: Start, tmp_path: pathlib.Path
) -> None:
    d = pmpod()
    with pmpo.Client(d.desk) as client:
        d.stop()
        other = pmpod({"listen.desk": d.desk, "listen.data": d.data})
        assert other.desk == d.desk
        with pytest.raises(pmpo.ConflictError, match="run"):
            client.status()


def test_closing_ends_what_waits(pmpod: Start) -> None:
    d = pmpod()
    client = pmpo.Client(d.desk)
    version = client.weights(wait=30).version
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            client.weights(newer_than=version, wait=600)
        except pmpo.PmpoError as e:
            ended.append(e)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    client.close()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(ended[0], pmpo.ClosedError)
    with pytest.raises(pmpo.ClosedError):
        client.status()
    client.close()


def test_a_full_queue_stops_the_actor(pmpod: Start) -> None:
    d = pmpod()
    actor = pmpo.Actor("ann", url=d.desk, queue_chunks=2)
    d.kill()
    futures = [actor.append_outcomes(**outcomes(i)) for i in range(2)]
    with pytest.raises(pmpo.NoAnswerError, match="2 chunks"):
        actor.append_outcomes(**outcomes(3), timeout=0.2)
    with pytest.raises(pmpo.NoAnswerError):
        actor.flush(0.1)
    actor.close()
    for future in futures:
        assert isinstance(future.exception(5), pmpo.ClosedError)
