"""What Client, Labeler and Actor share: who they are, their links, weights by ranges."""

from __future__ import annotations

import getpass
import os
import re
import socket
import threading
import time
from types import TracebackType
from typing import TypeVar

from . import pmpo_pb2 as pb
from ._link import FOREVER, Identity, Link, deadline_of
from ._token import find as find_token
from .errors import (
    ClosedError,
    ConflictError,
    InvalidError,
    NoAnswerError,
    NotFoundError,
    PmpoError,
)
from .types import ROLES, Run, Spec, Which
from .weights import Weights, fetch

URL_DEFAULT = "tcp://127.0.0.1:7447"
RETRY_S = 0.02
POLL_SLICE_MS = 10_000  # a long poll is asked again after this
NAME = re.compile(r"[A-Za-z0-9\-_.@]{1,64}")

Self = TypeVar("Self", bound="Base")


def default_name() -> str:
    """Return USER@HOST with everything that no name may hold replaced."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "user"
    text = f"{user[:31] or 'user'}@{(socket.gethostname() or 'localhost')[:31]}"
    return re.sub(r"[^A-Za-z0-9\-_.@]", "_", text)


class Base:
    """A connection to one run. Use it as a context manager, or call :meth:`close`.

    Any thread may call any method; those that ask the daemon wait for each other.
    """

    def __init__(
        self,
        url: str | None,
        role: str,
        name: str | None,
        token: str | None,
        *,
        spec: Spec | None = None,
        ca: str | None = None,
        client: str = "pmpo (Python)",
        connect_timeout: float = 10.0,
        request_timeout: float = 5.0,
        instance: bytes = b"",
    ) -> None:
        if role not in ROLES:
            raise InvalidError(f"{role!r} is no role: {', '.join(ROLES)}")
        if name is not None and not NAME.fullmatch(name):
            raise InvalidError(
                f"{name[:80]!r} is no name: 1 to 64 letters, digits, '-', '_', '.', '@'"
            )
        if connect_timeout <= 0 or request_timeout <= 0:
            raise InvalidError("timeouts are above 0")
        self.role = role
        self._given_token = token
        self._identity = Identity(
            role=ROLES[role],
            name=name if name is not None else default_name(),
            token=find_token(token, role),
            client=client,
            instance=instance,
            spec=spec.to_wire() if spec is not None else None,
            ca=ca if ca is not None else os.environ.get("PMPO_CA", ""),
            connect_s=connect_timeout,
            request_s=request_timeout,
        )
        self._lock = threading.Lock()
        self._opening = threading.RLock()
        self._run: Run | None = None
        self._ref_version = 0
        self._opened = False
        self._weights_link: Link | None = None
        self._links: list[Link] = []
        try:
            self._desk = self._link(url or os.environ.get("PMPO_URL") or URL_DEFAULT)
            self._deadline = deadline_of(connect_timeout)
            self._desk.hello(self._deadline)
        except BaseException:
            self.close()
            raise

    # ---- life ----

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; calls that wait end with ClosedError. May be called again."""
        self._identity.closing.set()
        for link in list(self._links):
            link.cancel()
        for link in list(self._links):
            link.close()

    # ---- links ----

    def _link(self, url: str, follow_data: bool = False) -> Link:
        if self._identity.closing.is_set():
            raise ClosedError("the client is closed")
        silence = self._find_data_url if follow_data else None
        link = Link(self._identity, url, on_hello=self._greeted, on_silence=silence)
        self._links.append(link)
        return link

    def _drop_link(self, link: Link) -> None:
        link.close()
        if link in self._links:
            self._links.remove(link)

    def _data_link(self) -> Link:
        """Return a new link that follows the run's data address."""
        return self._link(self._data_url(), follow_data=True)

    def _data_url(self) -> str:
        """Where append and weights are served. 0.0.0.0 is whoever answers at the desk."""
        url = self.run.data_url or self._desk.url
        for anywhere in ("://0.0.0.0:", "://[::]:"):
            if anywhere in url:
                return self._desk.url.rpartition(":")[0] + ":" + url.partition(anywhere)[2]
        return url

    def _find_data_url(self) -> str | None:
        """Ask the desk where the data address is now: the daemon may have come back elsewhere."""
        try:
            desk = Link(self._identity, self._desk.url, on_hello=self._greeted)
        except PmpoError:
            return None
        try:
            desk.hello(deadline_of(self._identity.request_s))
            return self._data_url()
        except PmpoError:
            return None  # a refusal will meet the link itself as well
        finally:
            desk.close()

    def _greeted(self, reply: pb.HelloReply) -> None:
        """See every answer to hello. A daemon that came back must serve the same run."""
        now = Run.from_wire(reply)
        with self._lock:
            was = self._run
            if was is not None:
                self._same_run(was, now)
            if self._opened and was is not None:  # one that lives on has its own state
                now = Run(**{**now.__dict__, "actor_state": was.actor_state})
            self._run = now
            self._identity.message_bytes = now.limits.message_bytes
        self._saw_version(now.ref_version)

    def _same_run(self, was: Run, now: Run) -> None:
        url = self._desk.url if hasattr(self, "_desk") else ""
        if was.run_id != now.run_id:
            raise ConflictError(
                f"{url} now serves run {now.run_id}; this client belongs to run {was.run_id}"
            )
        if was.spec != now.spec or was.policy != now.policy:
            raise ConflictError(f"{url}: the run's spec or policy is another one now")
        if self.role == "actor" and was.epoch != now.epoch:
            raise ConflictError(
                f"{url}: the daemon has lost this actor's epoch {was.epoch} (now {now.epoch})"
            )

    def _saw_version(self, version: int) -> None:
        with self._lock:
            self._ref_version = max(self._ref_version, version)

    # ---- what there is to know ----

    @property
    def run(self) -> Run:
        """What hello answered, newest first: run id, spec, policy, limits ..."""
        run = self._run
        if run is None:
            raise ClosedError("nobody has answered yet")
        return run

    @property
    def name(self) -> str:
        """The name under which this client acts."""
        return self._identity.name

    @property
    def url(self) -> str:
        """The desk's address."""
        return self._desk.url

    @property
    def ref_version(self) -> int:
        """Newest reference version that any reply named."""
        return self._ref_version

    # ---- weights ----

    def weights(
        self,
        which: Which = "reference",
        version: int = 0,
        newer_than: int = 0,
        wait: float = 0.0,
        timeout: float | None = None,
    ) -> Weights:
        """Fetch weights: a mapping of names to arrays, whose hash has been checked.

        `which` is the reference, which acts, or the policy as it is being trained (a snapshot).
        `version` 0 is the newest above `newer_than`; the call waits up to `wait` seconds for one.
        `timeout` bounds the whole call, also while the daemon is away; None: for ever.

        Raises NotFoundError (no such version, or nothing newer came), CorruptError, NoAnswerError.
        """
        with self._opening:
            if self._weights_link is None:
                self._weights_link = self._data_link()
        deadline = deadline_of(timeout)
        return self._fetch(self._weights_link, which, version, newer_than, wait, deadline)

    def _fetch(
        self, link: Link, which: Which, version: int, newer_than: int, wait: float, deadline: float
    ) -> Weights:
        def ask(request: pb.Weights, extra: float) -> pb.WeightsReply:
            reply = link.request(pb.Request(weights=request), deadline, extra)
            return reply.weights

        end = time.monotonic() + wait
        while True:
            left_ms = max(0, int((min(end, deadline) - time.monotonic()) * 1000))
            try:
                weights = fetch(ask, which, version, newer_than, min(left_ms, POLL_SLICE_MS))
            except NotFoundError:
                if time.monotonic() >= deadline:
                    raise NoAnswerError("no such weights in time") from None
                if version != 0 or time.monotonic() >= end:
                    raise
                link.pause(RETRY_S, FOREVER)
                continue
            if which == "reference":
                self._saw_version(weights.version)
            return weights
