"""Client: status, history, events, weights, control, export."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from . import pmpo_pb2 as pb
from ._link import deadline_of
from ._review import Reviewer
from .errors import ForbiddenError, InternalError
from .mirror import Mirror
from .types import WHICH, ActorStatus, Event, Role, Series, Status, Which

TIMEOUT_S = 30.0
EXPORT_RANGE_BYTES = 1 << 20


def _numbers(numbers: Iterable[pb.Number]) -> dict[str, float]:
    return {n.name: n.value for n in numbers}


def _actor(a: pb.ActorStatus) -> ActorStatus:
    return ActorStatus(
        name=a.name,
        epoch=a.epoch,
        last_seq=a.last_seq,
        rows=a.rows,
        ref_version=a.ref_version,
        env_steps=a.env_steps,
        idle_ms=a.idle_ms,
        value=_numbers(a.value),
        number=_numbers(a.number),
    )


def _series(s: pb.Series) -> Series:
    return Series(
        name=s.name,
        step=np.array(s.step, np.uint64),
        env_steps=np.array(s.env_steps, np.uint64),
        time=np.array(s.wall_ns, np.int64).view("datetime64[ns]"),
        value=np.array(s.value, np.float64),
    )


class Client(Reviewer):
    """Looks at a run and steers it.

    >>> with pmpo.Client() as client:                       # doctest: +SKIP
    ...     print(client.status()["learner.steps"])
    ...     curve = client.history("actor.return")

    `url` is the desk's address (None: $PMPO_URL, else tcp://127.0.0.1:7447), `token` what
    `pmpoctl token create` printed, or several of them with the role before each (None: $PMPO_TOKEN,
    else the file that $PMPO_TOKEN_FILE names), `ca` a file with the authority's certificate
    for tls+tcp:// addresses (None: $PMPO_CA), `name` who looks (None: USER@HOST). `connect_timeout`
    is how long the first answer may take, `request_timeout` how long a request waits before it is
    sent again, both in seconds.

    A role allows what it allows: an "observer" looks, an "operator" steers. An operator's client
    looks through a second session, as an observer: with tokens it needs one for that role, too.

    Requests are sent again after a lost reply, through a restart of the daemon as well, and wait
    while the daemon is busy, until `timeout` (30 seconds unless said otherwise). Every method may
    raise NoAnswerError, UnauthenticatedError, ForbiddenError, BusyError and ClosedError.
    """

    def __init__(
        self,
        url: str | None = None,
        role: Role = "observer",
        name: str | None = None,
        token: str | None = None,
        *,
        ca: str | None = None,
        connect_timeout: float = 10.0,
        request_timeout: float = 5.0,
    ) -> None:
        if role == "actor":
            raise ForbiddenError("an actor is made by pmpo.Actor")
        super().__init__(
            url,
            role,
            name,
            token,
            ca=ca,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
        )
        self._opened = True

    # ---- looking ----

    def status(self, actors: bool = True, timeout: float | None = TIMEOUT_S) -> Status:
        """Return one consistent snapshot of the run (docs/watching.md explains the numbers)."""
        request = pb.Request(status=pb.Status(actors=actors))
        reply = self._looking().request(request, deadline_of(timeout)).status
        return Status(
            text={t.name: t.value for t in reply.text},
            number=_numbers(reply.number),
            actors=tuple(_actor(a) for a in reply.actor),
        )

    def history(
        self,
        names: str | Iterable[str],
        step_from: int = 0,
        step_to: int = 0,
        points_max: int = 0,
        timeout: float | None = TIMEOUT_S,
    ) -> dict[str, Series]:
        """Return metrics by name, as arrays over the learner's steps.

        Steps from `step_from` to `step_to` (0: no end), thinned evenly to `points_max` points (0:
        the daemon's limit). A name that has no points yet has arrays of length 0.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        if not wanted:
            return {}
        body = pb.History(name=wanted, step_from=step_from, step_to=step_to, points_max=points_max)
        reply = self._looking().request(pb.Request(history=body), deadline_of(timeout)).history
        return {s.name: _series(s) for s in reply.series}

    def history_names(self, timeout: float | None = TIMEOUT_S) -> list[str]:
        """Return the metrics that there are."""
        request = pb.Request(history=pb.History())
        reply = self._looking().request(request, deadline_of(timeout)).history
        return [s.name for s in reply.series]

    def events(
        self, after: int = 0, count: int = 0, timeout: float | None = TIMEOUT_S
    ) -> list[Event]:
        """Return the audit log past an id, oldest first. `after` = -1: the newest ones."""
        past = (1 << 64) - 1 if after < 0 else after
        request = pb.Request(events=pb.Events(after=past, count=count))
        reply = self._looking().request(request, deadline_of(timeout)).events
        return [Event(e.id, e.wall_ns, e.who, e.kind, e.detail, e.hash) for e in reply.event]

    def follow(self, which: Which = "reference") -> Mirror:
        """Return a mirror: a thread keeps the newest policy at hand."""
        return Mirror(self, which)

    # ---- steering (role "operator") ----

    def _control(
        self, action: int, key: str = "", value: str = "", timeout: float | None = TIMEOUT_S
    ) -> dict[str, Any]:
        body = pb.Control(action=cast("pb.Action.ValueType", action), key=key, value=value)
        reply = self._desk.request(pb.Request(control=body), deadline_of(timeout)).control
        detail = json.loads(reply.detail or "{}")
        if not isinstance(detail, dict):
            raise InternalError("the answer to a control is no JSON object")
        return detail

    def pause(self, timeout: float | None = TIMEOUT_S) -> dict[str, Any]:
        """Pause the learner. Returns what the daemon says of it (step ...), as all controls do.

        A control whose answer is lost is asked again and may happen twice: pausing, resuming and
        setting a value do no harm then, a checkpoint or a refresh is made twice.
        """
        return self._control(pb.PAUSE, timeout=timeout)

    def resume(self, timeout: float | None = TIMEOUT_S) -> dict[str, Any]:
        """Let a paused learner go on."""
        return self._control(pb.RESUME, timeout=timeout)

    def checkpoint(self, timeout: float | None = 300.0) -> dict[str, Any]:
        """Write a checkpoint; returns when it is on disk."""
        return self._control(pb.CHECKPOINT, timeout=timeout)

    def refresh(self, timeout: float | None = TIMEOUT_S) -> dict[str, Any]:
        """Make the policy the reference now."""
        return self._control(pb.REFRESH, timeout=timeout)

    def stop(self, timeout: float | None = TIMEOUT_S) -> dict[str, Any]:
        """Stop the daemon in order."""
        return self._control(pb.STOP, timeout=timeout)

    def set(self, key: str, value: object, timeout: float | None = TIMEOUT_S) -> dict[str, Any]:
        """Change a live setting, such as `optim.lr`. Returns its old and new value."""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return self._control(pb.SET, key, text, timeout=timeout)

    def export_chunks(
        self, which: Which = "policy", version: int = 0, timeout: float | None = 300.0
    ) -> Iterator[bytes]:
        """Go through a safetensors file of weights, range by range."""
        deadline = deadline_of(timeout)
        have, total = 0, -1
        while have != total:
            body = pb.Export(
                which=WHICH[which],  # type: ignore[arg-type]
                version=version,
                offset=have,
                length=EXPORT_RANGE_BYTES,
            )
            reply = self._desk.request(pb.Request(export=body), deadline).export
            wrong = reply.offset != have or not reply.data or total not in (-1, reply.bytes)
            if wrong:
                raise InternalError("export: not the range that was asked for")
            version, total = reply.version, reply.bytes
            have += len(reply.data)
            yield reply.data

    def export(
        self,
        path: str | os.PathLike[str],
        which: Which = "policy",
        version: int = 0,
        timeout: float | None = 300.0,
    ) -> Path:
        """Write weights as a safetensors file with the run's configuration in its metadata.

        The file appears whole or not at all.
        """
        target = Path(path)
        partial = target.with_name(target.name + ".part")
        try:
            with open(partial, "wb") as f:
                for data in self.export_chunks(which, version, timeout):
                    f.write(data)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return target
