"""Labeler against a real daemon: leases, verdicts, what people said."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from conftest import Start, wait_for

import pmpo

PEOPLE = {"label.judge": "people", "learner.min_size": "16", "desk.lease_s": "60"}


def fill(url: str, rows: int = 24, seed: int = 1) -> tuple[int, np.ndarray]:
    """Append outcomes without verdicts; returns the chunk and the outcomes."""
    y = np.random.default_rng(seed).standard_normal((rows, 2)).astype(np.float32)
    with pmpo.Actor(f"maker-{seed}", url=url) as actor:
        return actor.append_outcomes(y).result(30).chunk, y


def test_a_person_judges_what_was_leased(pmpod: Start) -> None:
    d = pmpod(PEOPLE)
    chunk, y = fill(d.desk)
    with pmpo.Labeler("ann", d.desk) as ann, pmpo.Client(d.desk) as client:
        items = ann.lease(4, order="oldest")
        assert [str(i.ref) for i in items] == [f"{chunk}:{r}" for r in range(4)]
        assert items[0].actor == "maker-1"
        assert items[0].outcome is not None
        np.testing.assert_array_equal(items[0].outcome.reshape(-1), y[0])
        assert 0 < items[0].lease_ms <= 60_000
        assert len(ann.held) == 4

        with pmpo.Labeler("bob", d.desk) as bob:  # leased items are not offered to another
            others = bob.lease(4, order="oldest")
            assert not {i.ref for i in items} & {i.ref for i in others}

        assert ann.accept(items[0]).ok
        assert ann.reject(items[1], confidence=0.5, note="too far").ok
        assert ann.skip(items[2]).ok
        assert [str(i.ref) for i in ann.held] == [f"{chunk}:3"]
        result = ann.withdraw(items[0])
        assert result.ok
        with pytest.raises(pmpo.PmpoError):
            ann.accept(f"{chunk}:99")
        ann.lease(0)
        assert ann.judged >= 2
        assert {i.ref for i in ann.items()} == {i.ref for i in client.items()}

        kept = [v for v in client.all_verdicts() if v.ref == items[1].ref]
        assert [(v.judgement, v.confidence, v.note) for v in kept] == [
            (pmpo.Judgement.REJECT, 0.5, "too far")
        ]
        assert {i.ref for i in client.items()} >= {items[3].ref}


def test_a_verdict_is_kept_once(pmpod: Start) -> None:
    d = pmpod(PEOPLE)
    chunk, _ = fill(d.desk)
    with pmpo.Labeler("ann", d.desk) as ann, pmpo.Client(d.desk) as client:
        verdict = pmpo.Verdict(pmpo.ItemRef(chunk, 5), pmpo.Judgement.ACCEPT)
        (first,) = ann.submit([verdict])
        assert first.ok and not first.duplicate
        (again,) = ann.submit([verdict])
        assert again.ok and again.duplicate
        wait_for(lambda: client.status()["replay.accepted"] == 1)


def test_a_batch_trains(pmpod: Start) -> None:
    d = pmpod(PEOPLE)
    chunk, y = fill(d.desk, 64)
    with pmpo.Labeler("ann", d.desk) as ann, pmpo.Client(d.desk) as client:
        with ann.batch() as batch:
            for row in range(64):
                item = pmpo.ItemRef(chunk, row)
                batch.accept(item) if y[row, 0] > 0 else batch.reject(item)
        assert all(r.ok for r in batch.results) and len(batch.results) == 64
        wait_for(lambda: client.status()["learner.steps"] > 0)
        assert client.status()["replay.accepted"] == (y[:, 0] > 0).sum()
        assert client.status()["replay.rejected"] == (y[:, 0] <= 0).sum()
        with pytest.raises(ZeroDivisionError), ann.batch() as batch:
            batch.accept(pmpo.ItemRef(chunk, 0))
            raise ZeroDivisionError
        assert batch.results == []


def test_a_judge_labels_through_a_restart(pmpod: Start) -> None:
    d = pmpod(PEOPLE)
    chunk, y = fill(d.desk, 200)
    seen: list[pmpo.ItemRef] = []
    killed = threading.Event()

    def judge(item: pmpo.LeasedItem) -> bool:
        seen.append(item.ref)
        if len(seen) == 50:
            d.kill()
            threading.Thread(target=d.start).start()
            killed.set()
        assert item.outcome is not None
        return bool(item.outcome.reshape(-1)[0] > 0)

    with (
        pmpo.Labeler("ann", d.desk, request_timeout=1.0) as ann,
        pmpo.Client(d.desk, request_timeout=1.0) as client,
    ):
        assert ann.label(judge, wait=False, prefetch=16) == 200
        assert killed.is_set()
        assert len(set(seen)) == 200
        wait_for(lambda: client.status()["replay.trainable"] == 200)
        assert client.status()["replay.accepted"] == (y[:, 0] > 0).sum()
        records = list(client.all_verdicts())
        assert len(records) == 200
        assert {r.ref for r in records} == {pmpo.ItemRef(chunk, r) for r in range(200)}
        (row,) = client.labelers()
        assert row.accepts + row.rejects == 200 and row.skips == 0


def test_two_people_and_how_far_they_agree(pmpod: Start) -> None:
    d = pmpod(PEOPLE | {"desk.labels_wanted": "2"})
    _, y = fill(d.desk, 40)
    with pmpo.Labeler("ann", d.desk) as ann, pmpo.Labeler("bob", d.desk) as bob:

        def right(item: pmpo.LeasedItem) -> bool:
            return bool(y[item.ref.row, 0] > 0)

        def mostly(item: pmpo.LeasedItem) -> bool:
            return right(item) != (item.ref.row % 10 == 0)

        assert ann.label(right, wait=False) == 40
        assert bob.label(mostly, wait=False) == 40
    with pmpo.Client(d.desk) as client:
        agreement = client.agreement()
        (pair,) = agreement.pairs
        assert pair.items == 40
        assert pair.raw == pytest.approx(0.9)
        assert pair.kappa is not None and 0.6 < pair.kappa < 1.0
        assert agreement.number["items"] == 40
        assert {r.who.split(":")[-1] for r in client.labelers()} == {"ann", "bob"}
        assert all(r.agreement == pytest.approx(0.9) for r in client.labelers())


def test_media_come_to_the_labeler(pmpod: Start) -> None:
    d = pmpod(PEOPLE)
    media = (
        pmpo.Media.of_text("prompt", "Which?"),
        pmpo.Media("clip", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(64)),
    )
    with pmpo.Actor("maker", url=d.desk) as actor:
        items = [pmpo.Item(0, 2, 0.1, media), pmpo.Item(2, 3, 0.9)]
        y = np.arange(10).reshape(5, 2) / 10
        chunk = actor.append_outcomes(y, items=items).result(30).chunk
    with pmpo.Labeler("ann", d.desk) as ann:
        first, second = ann.lease(2, order="most_uncertain")
        assert str(first.ref) == f"{chunk}:2+3"
        assert first.outcome is not None and first.outcome.shape == (3, 2)
        assert second.media == media
        prompt = second.medium("prompt")
        assert prompt is not None and prompt.text == "Which?"
        ann.release([first])
        assert [str(i.ref) for i in ann.held] == [f"{chunk}:0+2"]
        (again,) = ann.lease(2, order="most_uncertain")
        assert again.ref == first.ref
