"""Labeler: items to judge, and verdicts on them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TypeAlias

from . import pmpo_pb2 as pb
from ._link import deadline_of
from ._review import Reviewer
from .errors import PmpoError, error_of
from .types import ItemRef, Judgement, LeasedItem, Order, Verdict, VerdictResult

VERDICTS_A_REQUEST = 1000
HELD_A_REQUEST = 1000
RELEASE_TIMEOUT_S = 2.0
SEND_AFTER_S = 0.05  # how long a judge's verdict may wait for the next ones

ItemLike: TypeAlias = LeasedItem | ItemRef | str
Said: TypeAlias = bool | Judgement | None
Judged: TypeAlias = Said | tuple[Said, float]


def ref_of(item: ItemLike) -> ItemRef:
    """Return what item is meant: a leased one, a reference, or `C:R+N`."""
    if isinstance(item, LeasedItem):
        return item.ref
    return ItemRef.parse(item) if isinstance(item, str) else item


def _judgement(said: Said) -> Judgement:
    if said is None:
        return Judgement.SKIP
    if isinstance(said, Judgement):
        return said
    return Judgement.ACCEPT if said else Judgement.REJECT


def verdict_of(item: ItemLike, said: Judged) -> Verdict:
    """Return the verdict that a judge's answer is: True accepts, False rejects, None skips.

    A pair has the confidence with it.
    """
    if isinstance(said, tuple):
        return Verdict(ref_of(item), _judgement(said[0]), float(said[1]))
    return Verdict(ref_of(item), _judgement(said))


class Batch:
    """Collects verdicts and sends them together when the `with` block ends without an error."""

    def __init__(self, labeler: Labeler) -> None:
        self._labeler = labeler
        self.verdicts: list[Verdict] = []
        self.results: list[VerdictResult] = []

    def add(self, verdict: Verdict) -> None:
        """Take one more."""
        self.verdicts.append(verdict)

    def accept(self, item: ItemLike, confidence: float = 1.0, note: str = "") -> None:
        """Accept an item when the batch is sent."""
        self.add(Verdict(ref_of(item), Judgement.ACCEPT, confidence, note))

    def reject(self, item: ItemLike, confidence: float = 1.0, note: str = "") -> None:
        """Reject an item when the batch is sent."""
        self.add(Verdict(ref_of(item), Judgement.REJECT, confidence, note))

    def skip(self, item: ItemLike, note: str = "") -> None:
        """Skip an item when the batch is sent."""
        self.add(Verdict(ref_of(item), Judgement.SKIP, 1.0, note))

    def withdraw(self, item: ItemLike, note: str = "") -> None:
        """Take a verdict back when the batch is sent."""
        self.add(Verdict(ref_of(item), Judgement.WITHDRAW, 1.0, note))

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.results = self._labeler.submit(self.verdicts)


class Labeler(Reviewer):
    """Judges items, as a person or in a person's place.

    >>> with pmpo.Labeler("ada") as labeler:                # doctest: +SKIP
    ...     for item in labeler.lease(8):
    ...         labeler.accept(item) if good(item) else labeler.reject(item)

    `name` is who judges; with tokens it is the token's name that counts. The other arguments are
    those of :class:`pmpo.Client`.

    Questions about what people said (:meth:`labelers` ...) are an observer's: a second session asks
    them, which with tokens needs one for that role, too.

    A verdict has a request id, drawn once. It is sent again, under the same id, until it is
    answered, also through a restart of the daemon: it counts once. What `timeout` left unanswered
    can be given to :meth:`submit` again.
    """

    def __init__(
        self,
        name: str | None = None,
        url: str | None = None,
        token: str | None = None,
        *,
        ca: str | None = None,
        connect_timeout: float = 10.0,
        request_timeout: float = 5.0,
    ) -> None:
        self._held: dict[ItemRef, LeasedItem] = {}
        super().__init__(
            url,
            "labeler",
            name,
            token,
            ca=ca,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
        )
        self._opened = True
        self.waiting = 0  #: items that the daemon would still lease to somebody, as last said
        self.judged = 0  #: verdicts of this person, skips included, as last said
        self.quota = 0  #: of verdicts; 0: none
        self.render = ""  #: how numbers are best shown: "numbers", "color"

    def close(self) -> None:
        """Give back what is leased (as far as the daemon answers at once), and close."""
        if self._held and not self._identity.closing.is_set():
            with contextlib.suppress(PmpoError):
                self.release(list(self._held), timeout=RELEASE_TIMEOUT_S)
        super().close()

    # ---- leases ----

    @property
    def held(self) -> tuple[LeasedItem, ...]:
        """Items that are leased and not judged."""
        return tuple(self._held.values())

    def _lease(self, lease: pb.Lease, timeout: float | None) -> list[LeasedItem]:
        reply = self._desk.request(pb.Request(lease=lease), deadline_of(timeout)).lease
        for lost in reply.lost:
            self._held.pop(ItemRef.from_wire(lost), None)
        items = [LeasedItem.from_wire(i) for i in reply.item]
        self._held.update((item.ref, item) for item in items)
        self.waiting, self.judged, self.quota = reply.waiting, reply.judged, reply.quota
        self.render = reply.render
        return items

    def lease(
        self,
        count: int = 1,
        order: Order = "",
        seconds: int = 0,
        timeout: float | None = None,
    ) -> list[LeasedItem]:
        """Lease up to `count` new items; those held are renewed.

        `order` is oldest, random, least_labelled or most_uncertain, `seconds` how long a lease
        lasts; "" and 0 leave it to the daemon. Fewer may come: none waits, or the reply is full. An
        item whose lease ends goes back to the others; a verdict on it still counts while it is
        open.
        """
        held = [ref.to_wire() for ref in list(self._held)[:HELD_A_REQUEST]]
        body = pb.Lease(count=count, seconds=seconds, order=order, held=held)
        return self._lease(body, timeout)

    def renew(self, seconds: int = 0, timeout: float | None = None) -> tuple[LeasedItem, ...]:
        """Prolong what is held; returns what is left of it."""
        self.lease(0, seconds=seconds, timeout=timeout)
        return self.held

    def release(self, items: Iterable[ItemLike], timeout: float | None = None) -> None:
        """Give items back, for others to judge."""
        refs = [ref_of(item) for item in items]
        for at in range(0, len(refs), HELD_A_REQUEST):
            part = refs[at : at + HELD_A_REQUEST]
            rest = [r.to_wire() for r in self._held if r not in part][:HELD_A_REQUEST]
            body = pb.Lease(count=0, held=rest, release=[r.to_wire() for r in part])
            for ref in part:
                self._held.pop(ref, None)
            self._lease(body, timeout)

    # ---- verdicts ----

    def submit(
        self, verdicts: Sequence[Verdict], timeout: float | None = None
    ) -> list[VerdictResult]:
        """Send verdicts, as many as one likes; returns what became of each, in their order.

        Those that the daemon refuses have `ok` False and a message; the others are on disk when
        this returns. `timeout` None: until the daemon answers.
        """
        deadline = deadline_of(timeout)
        results: list[VerdictResult] = []
        for at in range(0, len(verdicts), VERDICTS_A_REQUEST):
            part = verdicts[at : at + VERDICTS_A_REQUEST]
            body = pb.Verdicts(verdict=[v.to_wire() for v in part])
            reply = self._desk.request(pb.Request(verdicts=body), deadline).verdicts
            if len(reply.result) != len(part):
                raise error_of(pb.INTERNAL, "the daemon did not answer every verdict")
            for verdict, r in zip(part, reply.result, strict=True):
                error = None if r.code == pb.OK else error_of(r.code, r.message)
                results.append(
                    VerdictResult(
                        error is None, r.message, r.surplus, r.duplicate, r.replaced, error
                    )
                )
                self._held.pop(verdict.ref, None)
        return results

    def batch(self) -> Batch:
        """Return a context manager that sends its verdicts together: far more of them a second."""
        return Batch(self)

    def _one(
        self,
        item: ItemLike,
        judgement: Judgement,
        confidence: float,
        note: str,
        timeout: float | None,
    ) -> VerdictResult:
        verdict = Verdict(ref_of(item), judgement, confidence, note)
        result = self.submit([verdict], timeout)[0]
        if result.error is not None:
            raise result.error
        return result

    def accept(
        self, item: ItemLike, confidence: float = 1.0, note: str = "", timeout: float | None = None
    ) -> VerdictResult:
        """Accept an item; it trains from now on. Raises what the daemon answers."""
        return self._one(item, Judgement.ACCEPT, confidence, note, timeout)

    def reject(
        self, item: ItemLike, confidence: float = 1.0, note: str = "", timeout: float | None = None
    ) -> VerdictResult:
        """Reject an item."""
        return self._one(item, Judgement.REJECT, confidence, note, timeout)

    def skip(self, item: ItemLike, note: str = "", timeout: float | None = None) -> VerdictResult:
        """Say that one cannot say: the item goes to somebody else."""
        return self._one(item, Judgement.SKIP, 1.0, note, timeout)

    def withdraw(
        self, item: ItemLike, note: str = "", timeout: float | None = None
    ) -> VerdictResult:
        """Take back one's verdict on an item; the audit keeps it."""
        return self._one(item, Judgement.WITHDRAW, 1.0, note, timeout)

    def label(
        self,
        judge: Callable[[LeasedItem], Judged],
        limit: int | None = None,
        *,
        prefetch: int = 8,
        order: Order = "",
        wait: bool = True,
        poll: float = 0.2,
    ) -> int:
        """Let `judge` judge items until `limit` are judged; returns how many were.

        The judge gets a LeasedItem and returns True (accept), False (reject), None (skip), a
        Judgement, or a pair of one of them and a confidence. `prefetch` items are leased at a time.
        Verdicts go out together, but none waits longer than 50 ms for the next one. When no item
        waits, it asks again every `poll` seconds, or returns if `wait` is False. Items that others
        closed meanwhile are counted, too. Ctrl-C sends what is judged.
        """
        done = 0
        unsent: list[Verdict] = []
        since = 0.0
        try:
            while limit is None or done < limit:
                want = prefetch if limit is None else min(prefetch, limit - done)
                items = self.lease(want, order)
                if not items:
                    if not wait:
                        break
                    time.sleep(poll)
                    continue
                for item in items:
                    unsent.append(verdict_of(item, judge(item)))
                    done += 1
                    since = since or time.monotonic()
                    if time.monotonic() - since >= SEND_AFTER_S:
                        self._send_all(unsent)
                        since = 0.0
                self._send_all(unsent)
                since = 0.0
        finally:
            self._send_all(unsent)
        return done

    def _send_all(self, unsent: list[Verdict]) -> None:
        if unsent:
            self.submit(unsent)
            unsent.clear()
