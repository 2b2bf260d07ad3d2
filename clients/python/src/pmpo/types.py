"""What the daemon says, as plain immutable values: specs, runs, status, series, items, verdicts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from . import pmpo_pb2 as pb
from .errors import InvalidError
from .tensors import Array, code_of, dtype_of, unpack

Role = Literal["actor", "labeler", "observer", "operator"]
Order = Literal["", "oldest", "random", "least_labelled", "most_uncertain"]
Which = Literal["reference", "policy"]

ROLES: Mapping[str, int] = {
    "actor": pb.ACTOR,
    "labeler": pb.LABELER,
    "observer": pb.OBSERVER,
    "operator": pb.OPERATOR,
}
WHICH: Mapping[str, int] = {"reference": pb.REFERENCE, "policy": pb.POLICY}


class Judgement(IntEnum):
    """What a person says of an item."""

    ACCEPT = 1
    REJECT = 2
    SKIP = 3
    WITHDRAW = 4


class VerdictState(IntEnum):
    """What became of a verdict."""

    NONE = 0
    ACTIVE = 1
    SURPLUS = 2
    REPLACED = 3
    WITHDRAWN = 4


class Flags(IntFlag):
    """Flags of a trajectory's row."""

    NONE = 0
    FIRST = 1
    LAST = 2
    TRUNCATED = 4


@dataclass(frozen=True)
class TensorSpec:
    """One observation tensor of a row."""

    name: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike = np.float32


@dataclass(frozen=True)
class ActionSpec:
    """What an outcome or action is: `dim` numbers of a box, or `dim` indices below `bins`."""

    kind: Literal["box", "bins", "tokens", "none"] = "box"
    dim: int = 1
    low: float = -1.0
    high: float = 1.0
    bins: int = 0


_KINDS = {"none": pb.ACTION_NONE, "box": pb.BOX, "bins": pb.BINS, "tokens": pb.TOKENS}
_KIND_NAMES = {code: name for name, code in _KINDS.items()}
_SHAPES = {"none": pb.SHAPE_NONE, "outcomes": pb.OUTCOMES, "trajectories": pb.TRAJECTORIES}
_SHAPE_NAMES = {code: name for name, code in _SHAPES.items()}


@dataclass(frozen=True)
class Spec:
    """What samples look like: an actor's must fit the run's."""

    shape: Literal["outcomes", "trajectories", "none"] = "outcomes"
    action: ActionSpec = field(default_factory=ActionSpec)
    observation: tuple[TensorSpec, ...] = ()
    task: str = ""
    tokenizer_hash: str = ""

    def to_wire(self) -> pb.Spec:
        """Return the protobuf message."""
        a = self.action
        return pb.Spec(
            task=self.task,
            shape=_SHAPES[self.shape],
            observation=[
                pb.TensorSpec(name=t.name, dtype=code_of(t.dtype), shape=t.shape)
                for t in self.observation
            ],
            action=pb.ActionSpec(
                kind=_KINDS[a.kind],
                dim=a.dim,
                low=a.low,
                high=a.high,
                bins=a.bins,
            ),
            tokenizer_hash=self.tokenizer_hash,
        )

    @classmethod
    def from_wire(cls, spec: pb.Spec) -> Spec:
        """Return what a protobuf message says. Raises InvalidError for kinds that are not known."""
        shape, kind = _SHAPE_NAMES.get(spec.shape), _KIND_NAMES.get(spec.action.kind)
        if shape is None or kind is None:
            raise InvalidError("the run's spec is of a kind that this package does not know")
        return cls(
            shape=cast("Literal['outcomes', 'trajectories', 'none']", shape),
            action=ActionSpec(
                kind=cast("Literal['box', 'bins', 'tokens', 'none']", kind),
                dim=spec.action.dim,
                low=spec.action.low,
                high=spec.action.high,
                bins=spec.action.bins,
            ),
            observation=tuple(
                TensorSpec(name=t.name, shape=tuple(t.shape), dtype=dtype_of(t.dtype))
                for t in spec.observation
            ),
            task=spec.task,
            tokenizer_hash=spec.tokenizer_hash,
        )


@dataclass(frozen=True)
class Limits:
    """What the daemon takes at most."""

    message_bytes: int
    chunk_rows: int
    actor_state_bytes: int
    string_bytes: int


@dataclass(frozen=True)
class Run:
    """What hello answered."""

    run_id: str
    spec: Spec
    policy: str  #: JSON: what the weights mean, see :class:`pmpo.policy.Policy`
    ref_version: int  #: newest reference; in lockstep the one to act with
    limits: Limits
    data_url: str
    lockstep: bool
    seed: int
    epoch: int  #: actors
    last_seq: int  #: actors: last committed sequence number of this epoch
    actor_state: bytes  #: actors: what the last committed chunk of this name carried
    actor_rows: int  #: actors: rows committed from this name, in all epochs

    @classmethod
    def from_wire(cls, r: pb.HelloReply) -> Run:
        """Return what a reply to hello says."""
        limits = Limits(
            message_bytes=r.limits.message_bytes or 16 << 20,
            chunk_rows=r.limits.chunk_rows or 1024,
            actor_state_bytes=r.limits.actor_state_bytes,
            string_bytes=r.limits.string_bytes or 4096,
        )
        return cls(
            run_id=r.run_id,
            spec=Spec.from_wire(r.spec),
            policy=r.policy,
            ref_version=r.ref_version,
            limits=limits,
            data_url=r.data_url,
            lockstep=r.lockstep,
            seed=r.seed,
            epoch=r.epoch,
            last_seq=r.last_seq,
            actor_state=r.actor_state,
            actor_rows=r.actor_rows,
        )


@dataclass(frozen=True)
class ActorStatus:
    """What the daemon knows of one actor."""

    name: str
    epoch: int
    last_seq: int
    rows: int
    ref_version: int
    env_steps: int
    idle_ms: int  #: since its last message; -1: never in this process
    value: Mapping[str, float]  #: its last report
    number: Mapping[str, float]  #: what the daemon counted of it


@dataclass(frozen=True)
class Status:
    """One consistent snapshot: `status["learner.steps"]` is a number, `status.text` holds words."""

    text: Mapping[str, str]
    number: Mapping[str, float]
    actors: tuple[ActorStatus, ...]

    @property
    def state(self) -> str:
        """The run's state: running, waiting, paused, finished ..."""
        return self.text.get("state", "")

    def __getitem__(self, name: str) -> float:
        return self.number[name]

    def get(self, name: str, default: float = float("nan")) -> float:
        """Return a number, or `default` when the daemon does not say it."""
        return self.number.get(name, default)


@dataclass(frozen=True)
class Series:
    """One metric: arrays of equal length."""

    name: str
    step: npt.NDArray[np.uint64]  #: of the learner
    env_steps: npt.NDArray[np.uint64]
    time: npt.NDArray[np.datetime64]  #: UTC, in nanoseconds
    value: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class Event:
    """One line of the audit log."""

    id: int
    wall_ns: int
    who: str
    kind: str
    detail: str  #: a JSON object
    hash: bytes  #: the chain's, 32 bytes; empty: from before there was a chain


@dataclass(frozen=True)
class ItemRef:
    """Rows [row, row + rows) of a chunk, judged as one. Written `C:R` or `C:R+N`."""

    chunk: int
    row: int
    rows: int = 1

    def __str__(self) -> str:
        tail = f"+{self.rows}" if self.rows > 1 else ""
        return f"{self.chunk}:{self.row}{tail}"

    @classmethod
    def parse(cls, text: str) -> ItemRef:
        """Return the item that `C:R` or `C:R+N` names. Raises InvalidError."""
        chunk, colon, rest = text.partition(":")
        row, _, rows = rest.partition("+")
        parts = [chunk, row, rows or "1"]
        if not colon or not all(p.isascii() and p.isdigit() for p in parts):
            raise InvalidError(f"{text!r} names no item; write CHUNK:ROW or CHUNK:ROW+ROWS")
        return cls(*(int(p) for p in parts))

    def to_wire(self) -> pb.ItemRef:
        """Return the protobuf message."""
        return pb.ItemRef(chunk=self.chunk, row=self.row, rows=self.rows)

    @classmethod
    def from_wire(cls, ref: pb.ItemRef) -> ItemRef:
        """Return what a protobuf message says."""
        return cls(ref.chunk, ref.row, ref.rows or 1)


@dataclass(frozen=True)
class Media:
    """What a person is shown of an item: text/plain, image/png, video/mp4 ..."""

    name: str  #: what it is to the item: "prompt", "completion", "clip"
    type: str
    data: bytes

    @property
    def text(self) -> str:
        """The text of a text/plain. Raises InvalidError for anything else."""
        if not self.type.startswith("text/"):
            raise InvalidError(f"{self.name!r} is {self.type}, no text")
        return self.data.decode("utf-8")

    @classmethod
    def of_text(cls, name: str, text: str) -> Media:
        """Return a text/plain."""
        return cls(name, "text/plain", text.encode("utf-8"))

    def to_wire(self) -> pb.Media:
        """Return the protobuf message."""
        return pb.Media(name=self.name, type=self.type, data=self.data)

    @classmethod
    def from_wire(cls, m: pb.Media) -> Media:
        """Return what a protobuf message says."""
        return cls(m.name, m.type, m.data)


@dataclass(frozen=True)
class Item:
    """For :meth:`pmpo.Actor.append_outcomes`: rows of the chunk that people judge as one."""

    row: int
    rows: int = 1
    score: float = 0.0  #: how uncertain its label is: larger comes first in "most_uncertain"
    media: tuple[Media, ...] = ()

    def to_wire(self) -> pb.Item:
        """Return the protobuf message."""
        media = [m.to_wire() for m in self.media]
        return pb.Item(row=self.row, rows=self.rows, score=self.score, media=media)


@dataclass(frozen=True)
class LeasedItem:
    """An item that is this labeler's to judge, for a time."""

    ref: ItemRef
    labels: int  #: accepts and rejects that it has
    score: float
    lease_ms: int  #: what was left of the lease when the reply was made
    media: tuple[Media, ...]
    condition: tuple[Array, ...]  #: (rows, ...) each, as in the run's spec
    outcome: Array | None  #: (rows, dim)
    actor: str  #: who made it
    ref_version: int

    def medium(self, name: str) -> Media | None:
        """Return the medium of that name, or None."""
        return next((m for m in self.media if m.name == name), None)

    @classmethod
    def from_wire(cls, i: pb.LeasedItem) -> LeasedItem:
        """Return what a protobuf message says."""
        return cls(
            ref=ItemRef.from_wire(i.item),
            labels=i.labels,
            score=i.score,
            lease_ms=i.lease_ms,
            media=tuple(Media.from_wire(m) for m in i.media),
            condition=tuple(unpack(t) for t in i.condition),
            outcome=unpack(i.outcome) if i.HasField("outcome") else None,
            actor=i.actor,
            ref_version=i.ref_version,
        )


def new_request_id() -> str:
    """Return an id for a verdict: drawn once, the same whenever it is sent again."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Verdict:
    """A judgement on an item. Sent again with the same `request_id` it is counted once."""

    ref: ItemRef
    judgement: Judgement
    confidence: float = 1.0  #: in (0, 1]
    note: str = ""
    request_id: str = field(default_factory=new_request_id)

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence <= 1.0:
            raise InvalidError(f"a confidence of {self.confidence}: it is above 0 and at most 1")

    def to_wire(self) -> pb.Verdict:
        """Return the protobuf message."""
        return pb.Verdict(
            request_id=self.request_id,
            chunk=self.ref.chunk,
            row=self.ref.row,
            rows=self.ref.rows,
            judgement=cast("pb.Judgement.ValueType", int(self.judgement)),
            confidence=self.confidence,
            note=self.note,
        )


@dataclass(frozen=True)
class VerdictResult:
    """What the daemon made of one verdict."""

    ok: bool
    message: str  #: why not, for a person
    surplus: bool  #: kept for agreement only
    duplicate: bool  #: it was there already
    replaced: bool  #: an earlier verdict of the same person
    error: Exception | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ItemRecord:
    """An open item."""

    ref: ItemRef
    labels: int
    leases: int
    score: float


@dataclass(frozen=True)
class VerdictRecord:
    """A verdict as it is kept."""

    id: int
    who: str
    ref: ItemRef
    judgement: Judgement
    confidence: float
    note: str
    state: VerdictState
    wall_ns: int
    request_id: str
    media: tuple[Media, ...]  #: texts only: prompt, completion


@dataclass(frozen=True)
class LabelerRecord:
    """What one person has judged."""

    who: str
    accepts: int
    rejects: int
    skips: int
    surplus: int
    withdrawn: int  #: and replaced
    gold: int  #: judged items whose truth is known
    gold_right: int
    first_ns: int
    last_ns: int
    agreement: float | None  #: share of pairs with others that agree; None: no pairs
    pairs: int


@dataclass(frozen=True)
class PairRecord:
    """Two people on the items that both judged."""

    a: str
    b: str
    items: int
    raw: float
    kappa: float | None  #: Cohen's; None: not defined


@dataclass(frozen=True)
class Agreement:
    """How far people agree: of each two, and of all (fleiss_kappa, krippendorff_alpha ...)."""

    pairs: tuple[PairRecord, ...]
    number: Mapping[str, float]
