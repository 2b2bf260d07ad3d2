"""Actor: samples for the learner, sent again until they are acknowledged."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import pmpo_pb2 as pb
from ._base import Base
from ._link import FOREVER, deadline_of
from .errors import (
    ClosedError,
    InternalError,
    InvalidError,
    NoAnswerError,
    PmpoError,
    RunCompleteError,
    TooLargeError,
    UnavailableError,
)
from .mirror import Mirror
from .tensors import pack
from .types import Item, ItemRef, Spec, Which

QUEUE_CHUNKS_MAX = 1024
INTERNAL_TRIES = 10
RETRY_S = 0.5  # after an answer that blames the daemon
ENVELOPE_BYTES = 1024

Arrays: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike] | None


@dataclass(frozen=True)
class Ack:
    """What a committed chunk got."""

    chunk: int  #: its id: its rows are the items `chunk:0`, `chunk:1` ...
    rows: int
    ref_version: int  #: newest reference; in lockstep the one to act with
    duplicate: bool  #: it had been committed before, and the first answer was lost

    def item(self, row: int, rows: int = 1) -> ItemRef:
        """Return the reference of rows of this chunk."""
        return ItemRef(self.chunk, row, rows)


@dataclass(frozen=True)
class AppendStats:
    """What became of an actor's chunks."""

    queued: int
    acked: int
    resent: int
    busy: int
    rows_acked: int
    pending: int  #: chunks in the queue now


class _Slot:
    """A chunk on its way."""

    __slots__ = ("chunk", "future", "rows", "seq", "state")

    def __init__(self, seq: int, chunk: bytes, state: bytes, rows: int) -> None:
        self.seq = seq
        self.chunk = chunk
        self.state = state
        self.rows = rows
        self.future: Future[Ack] = Future()
        self.future.set_running_or_notify_cancel()  # nobody takes back what is on its way


class Actor(Base):
    """Sends samples to the learner, and acts by the newest reference.

    >>> with pmpo.Actor("arm") as actor:                    # doctest: +SKIP
    ...     mirror, rng = actor.follow(), np.random.default_rng()
    ...     while True:
    ...         y = mirror.policy.sample(rng, draws=4)
    ...         actor.append_outcomes(y, group=np.zeros(4), evaluation=worth(y))

    `spec` is what it produces, and must fit the run's (ConflictError says where it does not); None
    takes what the run has. `queue_chunks` (1 to 1024) chunks may be unacknowledged: when the queue
    is full, appending blocks, so that one stops acting. The other arguments are those of
    :class:`pmpo.Client`.

    A thread sends the queue, one chunk at a time, the same bytes under the same number until the
    daemon has them on disk: nothing acknowledged is lost and nothing is counted twice, whatever
    dies. The instance is drawn once an Actor: a second Actor of the same name fences the first,
    whose calls then raise ConflictError. Leaving the `with` block waits until all is acknowledged,
    unless an exception leaves it.

    `actor.run.actor_state` is what the last committed chunk of this name carried: an actor that
    puts its generator and environment there can go on where it was killed.
    """

    def __init__(
        self,
        name: str,
        spec: Spec | None = None,
        url: str | None = None,
        token: str | None = None,
        *,
        queue_chunks: int = 8,
        ca: str | None = None,
        connect_timeout: float = 10.0,
        request_timeout: float = 5.0,
    ) -> None:
        if not 1 <= queue_chunks <= QUEUE_CHUNKS_MAX:
            raise InvalidError(f"queue_chunks is {queue_chunks}; it is 1 to {QUEUE_CHUNKS_MAX}")
        self._queue: deque[_Slot] = deque()
        self._queue_chunks = queue_chunks
        self._changed = threading.Condition()
        self._dead: PmpoError | None = None
        self._queued = self._acked = self._rows_acked = 0
        self._thread: threading.Thread | None = None
        super().__init__(
            url,
            "actor",
            name,
            token,
            spec=spec,
            ca=ca,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
            instance=os.urandom(16),
        )
        try:
            self._data = self._data_link()
            self._data.hello(self._deadline)
        except BaseException:
            self.close()
            raise
        self._opened = True
        self._next_seq = self.run.last_seq + 1
        self._thread = threading.Thread(target=self._send_all, name="pmpo-actor", daemon=True)
        self._thread.start()

    # ---- life ----

    def close(self) -> None:
        """Close. What is not acknowledged is dropped: :meth:`flush` first."""
        self._identity.closing.set()
        with self._changed:
            self._changed.notify_all()
        super().close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.flush()
        except RunCompleteError:
            pass  # what is left is not wanted any more
        finally:
            self.close()

    # ---- the sending thread ----

    def _send_all(self) -> None:
        try:
            while (slot := self._next_slot()) is not None:
                self._deliver(slot)
        except PmpoError as e:
            self._die(e)
        except Exception as e:  # whoever appends must hear of it
            error = InternalError(f"the sending thread failed: {e!r}")
            error.__cause__ = e
            self._die(error)
        else:
            self._die(ClosedError("the client is closed"))

    def _next_slot(self) -> _Slot | None:
        with self._changed:
            while not self._queue and not self._identity.closing.is_set():
                self._changed.wait()
            return None if self._identity.closing.is_set() else self._queue[0]

    def _deliver(self, slot: _Slot) -> None:
        """Send one chunk until the daemon has it."""
        body = pb.Append(seq=slot.seq, chunk=slot.chunk, actor_state=slot.state)
        request = pb.Request(append=body)
        internal = 0
        while True:
            try:
                reply = self._data.request(request, FOREVER)
                break
            except UnavailableError as e:
                if not e.during_hello:  # to an append itself the daemon says so for good
                    raise RunCompleteError(str(e)) from e
            except InternalError:
                internal += 1
                if internal == INTERNAL_TRIES:
                    raise
            self._data.pause(RETRY_S, FOREVER)
        if not reply.HasField("append"):
            raise InternalError("the daemon's answer is no acknowledgement")
        self._acknowledge(slot, reply.append)

    def _acknowledge(self, slot: _Slot, reply: pb.AppendReply) -> None:
        self._saw_version(reply.ref_version)
        with self._changed:
            self._queue.popleft()
            self._acked += 1
            self._rows_acked += slot.rows
            self._changed.notify_all()
        ack = Ack(reply.chunk, reply.rows, reply.ref_version, reply.duplicate)
        slot.future.set_result(ack)

    def _die(self, error: PmpoError) -> None:
        with self._changed:
            self._dead = self._dead or error
            slots = list(self._queue)
            self._changed.notify_all()
        for slot in slots:
            slot.future.set_exception(error)

    # ---- appending ----

    def _wait(self, deadline: float) -> None:
        """Wait, with the lock held, until something may have changed."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise NoAnswerError(f"{len(self._queue)} chunks are not acknowledged yet")
        self._changed.wait(min(left, 1.0))

    def _check_alive(self) -> None:
        if self._dead is not None:
            raise self._dead
        if self._identity.closing.is_set():
            raise ClosedError("the client is closed")

    def append_chunk(
        self, chunk: pb.Chunk, actor_state: bytes = b"", timeout: float | None = None
    ) -> Future[Ack]:
        """Queue a chunk that one has built oneself. Blocks while the queue is full.

        The future's result is the acknowledgement. Raises TooLargeError when it is over the run's
        limits, RunCompleteError, ConflictError (fenced) and InvalidError (the daemon refused an
        earlier chunk) when the actor is at its end, NoAnswerError after `timeout`.
        """
        data = chunk.SerializeToString()
        self._check_limits(chunk.rows, len(data), len(actor_state))
        deadline = deadline_of(timeout)
        with self._changed:
            self._check_alive()
            while len(self._queue) >= self._queue_chunks:
                self._wait(deadline)
                self._check_alive()
            slot = _Slot(self._next_seq, data, bytes(actor_state), chunk.rows)
            self._next_seq += 1
            self._queue.append(slot)
            self._queued += 1
            self._changed.notify_all()
        return slot.future

    def _check_limits(self, rows: int, size: int, state: int) -> None:
        limits = self.run.limits
        if rows == 0:
            raise InvalidError("a chunk without rows")
        if rows > limits.chunk_rows:
            raise TooLargeError(f"a chunk of {rows} rows; the run's limit is {limits.chunk_rows}")
        if state > limits.actor_state_bytes:
            raise TooLargeError(
                f"{state} bytes of actor_state; the run's limit is {limits.actor_state_bytes}"
            )
        if size + state + ENVELOPE_BYTES > limits.message_bytes:
            raise TooLargeError(
                f"a chunk of {size} bytes; the run's limit for messages is {limits.message_bytes}"
            )

    def _observations(self, values: Arrays, rows: int, name: str) -> list[pb.Tensor]:
        specs = self.run.spec.observation
        parts: Sequence[Any]
        if values is None:
            parts = ()
        elif len(specs) == 1 and not (isinstance(values, (list, tuple)) and len(values) == 1):
            parts = (values,)
        else:
            parts = values  # type: ignore[assignment]
        if len(parts) != len(specs):
            raise InvalidError(f"{len(parts)} arrays of {name}; the run's spec has {len(specs)}")
        return [
            pack(v, s.dtype, (rows, *s.shape), f"{name} {s.name}".rstrip())
            for v, s in zip(parts, specs, strict=True)
        ]

    def _action(self, values: npt.ArrayLike, name: str) -> tuple[pb.Tensor, int]:
        action = self.run.spec.action
        bins = action.kind == "bins"
        array = np.asarray(values)
        rows = array.shape[0] if array.ndim == 2 else 0
        tensor = pack(array, np.int32 if bins else np.float32, (rows, action.dim), name)
        if bins and rows > 0 and (array.min() < 0 or array.max() >= action.bins):
            raise InvalidError(f"{name}: bins are 0 to {action.bins - 1}")
        return tensor, rows

    def append_outcomes(
        self,
        outcome: npt.ArrayLike,
        *,
        group: npt.ArrayLike | None = None,
        condition: Arrays = None,
        evaluation: npt.ArrayLike | None = None,
        verdict: npt.ArrayLike | None = None,
        weight: npt.ArrayLike | None = None,
        log_prob: npt.ArrayLike | None = None,
        ref_version: npt.ArrayLike | None = None,
        items: Sequence[Item] = (),
        actor_state: bytes = b"",
        timeout: float | None = None,
    ) -> Future[Ack]:
        """Queue outcomes, as columns of one chunk. Blocks while the queue is full.

        `outcome` (rows, dim): raw samples of the policy, not clipped; of bins their indices.
        `group` (rows): 0, 0, .., 1, 1, ..: outcomes of one condition; None: every row its own.
        `condition` (groups, ...): one array, or one for each observation of the run's spec.
        `evaluation` (rows) ranks the outcomes of a group. `verdict` (rows): 1 accept, -1 reject, 0
        not judged. `weight` (rows) >= 0. `log_prob` (rows) under the reference that drew it,
        `ref_version` (rows) or one number: which that was. `items` says what people judge as one,
        and what they are shown; none: each row without a verdict is an item.

        Returns a future whose result is the acknowledgement, with the items' chunk id. Raises
        InvalidError for columns that do not fit, and what :meth:`append_chunk` raises.
        """
        y, rows = self._action(outcome, "outcome")
        o = pb.Outcomes(outcome=y, groups=rows)
        if group is not None:
            index = np.asarray(group)
            if index.dtype.kind == "f" and (index == np.floor(index)).all():
                index = index.astype(np.int64)
            o.group.CopyFrom(pack(index, np.uint32, (rows,), "group"))
            step = np.diff(index.astype(np.int64))
            if rows > 0 and (index[0] != 0 or ((step != 0) & (step != 1)).any()):
                raise InvalidError("group is 0, 0, .., 1, 1, ..: rows of a group are neighbours")
            o.groups = int(index[-1]) + 1 if rows > 0 else 0
        o.condition.extend(self._observations(condition, o.groups, "condition"))
        if evaluation is not None:
            o.evaluation.CopyFrom(pack(evaluation, np.float32, (rows,), "evaluation"))
        if verdict is not None:
            said = np.asarray(verdict)
            if said.dtype.kind != "b" and said.size > 0 and np.abs(said.astype(np.int64)).max() > 1:
                raise InvalidError("verdict is 1 (accept), -1 (reject) or 0 (not judged)")
            o.verdict.CopyFrom(pack(said, np.int8, (rows,), "verdict"))
        if weight is not None:
            o.weight.CopyFrom(pack(weight, np.float32, (rows,), "weight"))
            if rows > 0 and np.asarray(weight).min() < 0:
                raise InvalidError("weight is at least 0")
        self._optional(o, rows, log_prob, ref_version)
        chunk = pb.Chunk(source=pb.SOURCE_ACTOR, rows=rows, outcomes=o)
        chunk.item.extend(self._items(items, rows))
        return self.append_chunk(chunk, actor_state, timeout)

    def append_trajectory(
        self,
        observation: Arrays,
        action: npt.ArrayLike,
        reward: npt.ArrayLike,
        discount: npt.ArrayLike,
        flags: npt.ArrayLike,
        t: npt.ArrayLike,
        *,
        environment: npt.ArrayLike = 0,
        episode: npt.ArrayLike = 0,
        log_prob: npt.ArrayLike | None = None,
        ref_version: npt.ArrayLike | None = None,
        items: Sequence[Item] = (),
        actor_state: bytes = b"",
        timeout: float | None = None,
    ) -> Future[Ack]:
        """Queue rows (o_t, a_t, r_{t+1}, discount_{t+1}), as columns of one chunk.

        `observation` (rows, ...): one array, or one for each of the run's spec; `action` (rows,
        dim): the raw sample; `reward`, `discount` (rows; discount 0 ends the return), `flags`
        (rows) of :class:`pmpo.Flags`, `t` (rows) from 0 in each episode. An episode ends with one
        row that has only an observation (the other columns are 0): flag LAST, and TRUNCATED if
        time ran out. The row with t = 0 has flag FIRST. `environment` and `episode` are (rows) or
        one number; rows of several environments may be mixed, and an episode may span chunks.

        `items` are rows that people judge as one, with what they are shown (a clip).

        Returns a future whose result is the acknowledgement. Blocks while the queue is full.
        """
        a, rows = self._action(action, "action")
        r = pb.Trajectories(
            observation=self._observations(observation, rows, "observation"),
            action=a,
            environment=self._column(environment, np.uint32, rows, "environment"),
            episode=self._column(episode, np.uint32, rows, "episode"),
            t=pack(t, np.uint32, (rows,), "t"),
            reward=pack(reward, np.float32, (rows,), "reward"),
            discount=pack(discount, np.float32, (rows,), "discount"),
            flags=pack(flags, np.uint8, (rows,), "flags"),
        )
        self._optional(r, rows, log_prob, ref_version)
        chunk = pb.Chunk(source=pb.SOURCE_ACTOR, rows=rows, trajectories=r)
        chunk.item.extend(self._items(items, rows))
        return self.append_chunk(chunk, actor_state, timeout)

    @staticmethod
    def _column(values: npt.ArrayLike, dtype: npt.DTypeLike, rows: int, name: str) -> pb.Tensor:
        """Return a column, or one number for all rows."""
        array = np.asarray(values)
        if array.ndim == 0:
            array = array.reshape(1)
        return pack(array, dtype, (1,) if array.shape == (1,) else (rows,), name)

    def _optional(
        self,
        columns: pb.Outcomes | pb.Trajectories,
        rows: int,
        log_prob: npt.ArrayLike | None,
        ref_version: npt.ArrayLike | None,
    ) -> None:
        if log_prob is not None:
            columns.log_prob.CopyFrom(pack(log_prob, np.float32, (rows,), "log_prob"))
        if ref_version is not None:
            version = self._column(ref_version, np.uint64, rows, "ref_version")
            columns.ref_version.CopyFrom(version)

    @staticmethod
    def _items(items: Sequence[Item], rows: int) -> list[pb.Item]:
        end = 0
        for item in items:
            if item.rows < 1 or item.row < end or item.row + item.rows > rows:
                raise InvalidError(
                    f"item {item.row}+{item.rows}: items lie in order, apart, within {rows} rows"
                )
            end = item.row + item.rows
        return [item.to_wire() for item in items]

    # ---- the queue ----

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything queued is acknowledged.

        Raises why the actor is at its end, NoAnswerError after `timeout` seconds.
        """
        deadline = deadline_of(timeout)
        with self._changed:
            self._check_alive()
            while self._queue:
                self._wait(deadline)
                self._check_alive()

    @property
    def complete(self) -> bool:
        """Whether the daemon takes no more rows because the run is complete: the actor is done."""
        return isinstance(self._dead, RunCompleteError)

    @property
    def stats(self) -> AppendStats:
        """What became of the chunks so far."""
        with self._changed:
            return AppendStats(
                queued=self._queued,
                acked=self._acked,
                resent=self._data.resent,
                busy=self._data.busy,
                rows_acked=self._rows_acked,
                pending=len(self._queue),
            )

    # ---- the policy, and numbers ----

    def follow(self, which: Which = "reference") -> Mirror:
        """Return a mirror: a thread keeps the newest policy at hand."""
        return Mirror(self, which)

    def report(
        self,
        values: Mapping[str, float],
        ref_version: int | None = None,
        env_steps: int = 0,
        timeout: float | None = 10.0,
    ) -> None:
        """Put named numbers (`return`, `length`, `success`, `eval_return` ...) into the history.

        They become the series `actor.NAME`. `ref_version`: of the policy that they are of (None:
        the newest seen), `env_steps` those of this actor so far. Each report is counted once,
        however often it is sent.
        """
        body = pb.Report(
            value=[pb.Number(name=n, value=float(v)) for n, v in values.items()],
            ref_version=self.ref_version if ref_version is None else ref_version,
            env_steps=env_steps,
        )
        self._desk.request(pb.Request(report=body), deadline_of(timeout))
