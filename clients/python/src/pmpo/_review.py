"""What people said: items, verdicts, labelers, agreement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from . import pmpo_pb2 as pb
from ._base import Base
from ._link import Identity, Link, deadline_of
from ._token import find as find_token
from .types import (
    ROLES,
    Agreement,
    ItemRecord,
    ItemRef,
    Judgement,
    LabelerRecord,
    Media,
    PairRecord,
    VerdictRecord,
    VerdictState,
)

TIMEOUT_S = 30.0


def _item(r: pb.ItemRecord) -> ItemRecord:
    return ItemRecord(ItemRef.from_wire(r.item), r.labels, r.leases, r.score)


def _verdict(r: pb.VerdictRecord) -> VerdictRecord:
    return VerdictRecord(
        id=r.id,
        who=r.who,
        ref=ItemRef.from_wire(r.item),
        judgement=Judgement(r.judgement),
        confidence=r.confidence,
        note=r.note,
        state=VerdictState(r.state),
        wall_ns=r.wall_ns,
        request_id=r.request_id,
        media=tuple(Media.from_wire(m) for m in r.media),
    )


def _labeler(r: pb.LabelerRecord) -> LabelerRecord:
    return LabelerRecord(
        who=r.who,
        accepts=r.accepts,
        rejects=r.rejects,
        skips=r.skips,
        surplus=r.surplus,
        withdrawn=r.withdrawn,
        gold=r.gold,
        gold_right=r.gold_right,
        first_ns=r.first_ns,
        last_ns=r.last_ns,
        agreement=r.agreement if r.pairs > 0 else None,
        pairs=r.pairs,
    )


class Reviewer(Base):
    """Adds the questions about people's work, and a second session where the first may not ask."""

    _observer: Link | None = None

    def _looking(self) -> Link:
        """Return the link that may look: sessions of the other roles may not."""
        if self.role == "observer":
            return self._desk
        with self._opening:
            if self._observer is None:
                mine = self._identity
                other = Identity(
                    role=ROLES["observer"],
                    name=mine.name,
                    token=find_token(self._given_token, "observer"),
                    client=mine.client,
                    ca=mine.ca,
                    connect_s=mine.connect_s,
                    request_s=mine.request_s,
                    message_bytes=mine.message_bytes,
                    closing=mine.closing,
                )
                self._observer = Link(other, self._desk.url, on_hello=self._greeted)
                self._links.append(self._observer)
            return self._observer

    def _data_link(self) -> Link:
        if self.role == "observer":
            return super()._data_link()
        observer = self._looking()
        link = Link(observer.identity, self._data_url(), self._greeted, self._find_data_url)
        self._links.append(link)
        return link

    def _review(self, subject: int, after: int, count: int, who: str) -> pb.ReviewReply:
        body = pb.Review(
            subject=cast("pb.Subject.ValueType", subject), after=after, count=count, who=who
        )
        deadline = deadline_of(TIMEOUT_S)
        return self._looking().request(pb.Request(review=body), deadline).review

    def items(self, after: int = 0, count: int = 0) -> list[ItemRecord]:
        """Return open items of chunks past `after`, at most `count` (0: the daemon's limit)."""
        return [_item(r) for r in self._review(pb.ITEMS, after, count, "").item]

    def verdicts(self, after: int = 0, count: int = 0, who: str = "") -> list[VerdictRecord]:
        """Return verdicts past the id `after`, of one person if `who` is given, oldest first."""
        return [_verdict(r) for r in self._review(pb.VERDICTS, after, count, who).verdict]

    def all_verdicts(self, who: str = "") -> Iterator[VerdictRecord]:
        """Go through every verdict that is kept, page by page."""
        after = 0
        while page := self.verdicts(after, who=who):
            yield from page
            after = page[-1].id

    def labelers(self) -> list[LabelerRecord]:
        """Return what each person has judged."""
        return [_labeler(r) for r in self._review(pb.LABELERS, 0, 0, "").labeler]

    def agreement(self) -> Agreement:
        """Return how far people agree, each two of them and all together."""
        reply = self._review(pb.AGREEMENT, 0, 0, "")
        pairs = tuple(
            PairRecord(p.a, p.b, p.items, p.raw, p.kappa if p.kappa_known else None)
            for p in reply.pair
        )
        return Agreement(pairs, {n.name: n.value for n in reply.number})
