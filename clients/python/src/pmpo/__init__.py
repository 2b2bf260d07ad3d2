"""pmpo: Python's side of pmpod, which learns policies from accepted and rejected outcomes.

* :class:`Client` looks at a run and steers it: status, history, events, weights, control, export.
* :class:`Labeler` leases items and gives verdicts on them.
* :class:`Actor` sends outcomes or trajectories, and follows the reference that it acts by.
* :class:`Policy` evaluates fetched weights in NumPy.
* :mod:`pmpo.gym` makes any Gymnasium environment an actor.

Everything goes over one protocol (docs/protocol.md of pmpod); the library resends what was not
answered, and opens its session again when the daemon was restarted.
"""

from .actor import Ack, Actor, AppendStats
from .client import Client
from .errors import (
    BusyError,
    ClosedError,
    ConflictError,
    CorruptError,
    ForbiddenError,
    InternalError,
    InvalidError,
    NoAnswerError,
    NotFoundError,
    PmpoError,
    RunCompleteError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from .labeler import Batch, Labeler
from .mirror import Mirror
from .policy import Policy, PolicySpec
from .types import (
    ActionSpec,
    ActorStatus,
    Agreement,
    Event,
    Flags,
    Item,
    ItemRecord,
    ItemRef,
    Judgement,
    LabelerRecord,
    LeasedItem,
    Limits,
    Media,
    PairRecord,
    Run,
    Series,
    Spec,
    Status,
    TensorSpec,
    Verdict,
    VerdictRecord,
    VerdictResult,
    VerdictState,
)
from .weights import View, Weights, weights_hash

__version__ = "0.1.0"

__all__ = [
    "Ack",
    "ActionSpec",
    "Actor",
    "ActorStatus",
    "Agreement",
    "AppendStats",
    "Batch",
    "BusyError",
    "Client",
    "ClosedError",
    "ConflictError",
    "CorruptError",
    "Event",
    "Flags",
    "ForbiddenError",
    "InternalError",
    "InvalidError",
    "Item",
    "ItemRecord",
    "ItemRef",
    "Judgement",
    "Labeler",
    "LabelerRecord",
    "LeasedItem",
    "Limits",
    "Media",
    "Mirror",
    "NoAnswerError",
    "NotFoundError",
    "PairRecord",
    "PmpoError",
    "Policy",
    "PolicySpec",
    "Run",
    "RunCompleteError",
    "Series",
    "Spec",
    "Status",
    "TensorSpec",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "Verdict",
    "VerdictRecord",
    "VerdictResult",
    "VerdictState",
    "View",
    "Weights",
    "weights_hash",
]
