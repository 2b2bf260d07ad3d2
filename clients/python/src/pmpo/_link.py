"""One address of the daemon as a client sees it: a socket, a session, and asking until answered.

The library resends, not nng: only it knows what is safe. A link is used by one thread at a time
(its lock sees to that); waiting is interruptible, by Ctrl-C in the main thread and by `cancel`.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pynng

from . import pmpo_pb2 as pb
from .errors import (
    ClosedError,
    InternalError,
    InvalidError,
    NoAnswerError,
    error_of,
)

SEND_SLICE_MS = 50  # how soon a stop is noticed while nobody is connected
RECONNECT_MIN_MS = 20  # nng's dialer
RECONNECT_MAX_MS = 500
RETRY_MAX_S = 5.0  # a daemon's retry_after_ms is believed up to here
RESET_S = 0.02  # after a failed attempt
FOREVER = float("inf")


class _BrokenError(Exception):
    """The connection broke, or nobody answered within the time of one attempt."""

    def __init__(self, silent: bool) -> None:
        super().__init__()
        self.silent = silent


@dataclass
class Identity:
    """Who asks: what the links of one client share."""

    role: int
    name: str
    token: str
    client: str
    instance: bytes = b""
    spec: pb.Spec | None = None
    ca: str = ""
    connect_s: float = 10.0
    request_s: float = 5.0
    message_bytes: int = 16 << 20
    closing: threading.Event = field(default_factory=threading.Event)


def deadline_of(timeout: float | None) -> float:
    """Return when a timeout in seconds ends on the monotonic clock; None: never."""
    return FOREVER if timeout is None else time.monotonic() + timeout


class Link:
    """A socket with a session. `on_hello` sees every answer to hello and may refuse it."""

    def __init__(
        self,
        identity: Identity,
        url: str,
        on_hello: Callable[[pb.HelloReply], None] | None = None,
        on_silence: Callable[[], str | None] | None = None,
    ) -> None:
        self.identity = identity
        self.url = url
        self.lock = threading.RLock()
        self.resent = 0
        self.busy = 0
        self._on_hello = on_hello
        self._on_silence = on_silence
        self._session: bytes = b""
        self._request_id = 0
        self._silent_since: float | None = None
        self._cancelled = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._socket: Any = None
        self._closed = False
        try:
            self._dial(url)
        except BaseException:
            self.close()
            raise

    # ---- the socket ----

    def _dial(self, url: str) -> None:
        """Dial in the background; a socket from before is closed."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        limit = self.identity.message_bytes
        try:
            tls = self._tls(url)
            socket = pynng.Req0(
                resend_time=-1,
                send_timeout=SEND_SLICE_MS,
                recv_max_size=limit,
                reconnect_time_min=RECONNECT_MIN_MS,
                reconnect_time_max=RECONNECT_MAX_MS,
                tls_config=tls,
            )
            socket.add_post_pipe_remove_cb(self._lost)
            socket.dial(url, block=False)
        except (pynng.exceptions.AddressInvalid, pynng.exceptions.NotSupported) as e:
            raise InvalidError(f"{url}: not an address; write tcp://127.0.0.1:7447") from e
        except pynng.exceptions.NNGException as e:
            raise InvalidError(f"{url}: {e}") from e
        self._socket = socket
        self.url = url

    def _tls(self, url: str) -> Any:
        if not url.startswith("tls+"):
            return None
        host = url.split("://", 1)[-1].rsplit(":", 1)[0].strip("[]")
        if not self.identity.ca:
            raise InvalidError(f"{url}: TLS needs the authority's certificate: ca= or PMPO_CA")
        return pynng.TLSConfig(
            pynng.TLSConfig.MODE_CLIENT,
            server_name=host,
            ca_files=[self.identity.ca],
            auth_mode=pynng.TLSConfig.AUTH_MODE_REQUIRED,
        )

    def _lost(self, _pipe: object) -> None:
        """Wake whoever waits: a connection ended. nng's thread."""
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody waits
            os.write(self._wake_write, b"!")

    def cancel(self) -> None:
        """End what waits, and everything later, with ClosedError. Any thread."""
        self._cancelled.set()
        self._wake()

    def close(self) -> None:
        """Close the socket. Whoever waits gets ClosedError first."""
        self.cancel()
        with self.lock:
            if self._closed:
                return
            self._closed = True
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            os.close(self._wake_read)
            os.close(self._wake_write)

    @property
    def stopping(self) -> bool:
        """Whether everything ends with ClosedError from here on."""
        return self._cancelled.is_set() or self.identity.closing.is_set()

    def pause(self, seconds: float, deadline: float) -> None:
        """Sleep, but not past the deadline (NoAnswerError) or a stop (ClosedError)."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if self.stopping:
                raise ClosedError("the client is closed")
            if now >= deadline:
                raise NoAnswerError(f"no answer from {self.url}")
            if now >= end:
                return
            self._cancelled.wait(min(end, deadline, now + SEND_SLICE_MS / 1000) - now)

    def _drain(self) -> bool:
        woken = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                woken = True
        return woken

    def _send(self, data: bytes, until: float) -> None:
        """Send as soon as there is a connection."""
        while True:
            if self.stopping:
                raise ClosedError("the client is closed")
            try:
                self._drain()
                self._socket.send(data)
                return
            except (pynng.exceptions.Timeout, pynng.exceptions.TryAgain):
                if time.monotonic() >= until:
                    raise _BrokenError(silent=True) from None
            except pynng.exceptions.NNGException:
                raise _BrokenError(silent=False) from None

    def _receive(self, until: float) -> bytes:
        """Wait for the reply to what was sent."""
        poll = select.poll()
        poll.register(self._socket.recv_fd, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while True:
            left = until - time.monotonic()
            poll.poll(None if until == FOREVER else max(0, int(left * 1000) + 1))
            if self.stopping:
                raise ClosedError("the client is closed")
            try:
                return bytes(self._socket.recv(block=False))
            except pynng.exceptions.TryAgain:
                pass
            except pynng.exceptions.NNGException:
                raise _BrokenError(silent=False) from None
            if self._drain():  # the connection went away, and the reply with it
                raise _BrokenError(silent=False)
            if time.monotonic() >= until:
                raise _BrokenError(silent=True)

    # ---- requests ----

    def _attempt(self, request: pb.Request, until: float) -> pb.Reply:
        """Send once and wait for the reply to this very request."""
        request.version = 1
        if request.request_id == 0:
            self._request_id += 1
            request.request_id = self._request_id
        request.session = self._session
        if self._silent_since is None:
            self._silent_since = time.monotonic()
        self._send(request.SerializeToString(), until)
        data = self._receive(until)
        self._silent_since = None
        reply = pb.Reply()
        try:
            reply.ParseFromString(data)
        except Exception as e:  # DecodeError is not one class over protobuf's versions
            raise InternalError(f"{self.url}: the answer is none of pmpod's") from e
        if reply.request_id != request.request_id:
            raise _BrokenError(silent=False)
        return reply

    def _dial_again(self, late: bool) -> None:
        """Nobody answered: the address may have moved, or the connection leads nowhere."""
        since = self._silent_since
        if since is None or time.monotonic() - since < self.identity.request_s:
            return
        self._silent_since = None
        moved = self._on_silence() if self._on_silence is not None and not late else None
        if moved is not None and moved != self.url:
            self._session = b""
        self._dial(moved or self.url)

    def _ask(self, request: pb.Request, extra: float, deadline: float) -> pb.Reply:
        """Ask until there is a reply that does not ask for patience."""
        while True:
            until = min(deadline, time.monotonic() + self.identity.request_s + extra)
            try:
                reply = self._attempt(request, until)
            except _BrokenError as e:
                if e.silent:
                    self._dial_again(time.monotonic() >= deadline)
                self.pause(RESET_S, deadline)
                self.resent += 1
                continue
            wait = self._patience(reply)
            if wait is None:
                return reply
            # Somebody is there, only not ready (in lockstep, learner steps are due first).
            if request.HasField("hello") and deadline != FOREVER:
                deadline = deadline_of(self.identity.connect_s)
            try:
                self.pause(wait, deadline)
            except NoAnswerError:
                raise error_of(reply.code, f"{self.url}: {reply.message or 'busy'}") from None

    def _patience(self, reply: pb.Reply) -> float | None:
        """Return how long to wait before asking again; None: the reply is an answer."""
        if reply.code == pb.BUSY:
            self.busy += 1
        elif reply.code != pb.UNAVAILABLE or reply.retry_after_ms == 0:
            return None  # "not offered by this daemon" comes without a time
        return min(max(reply.retry_after_ms, 1) / 1000, RETRY_MAX_S)

    def hello(self, deadline: float) -> pb.HelloReply:
        """Open a session. Raises what the daemon answers, NoAnswerError, ClosedError."""
        i = self.identity
        hello = pb.Hello(
            role=i.role,  # type: ignore[arg-type]
            name=i.name,
            token=i.token,
            client=i.client,
            instance=i.instance,
        )
        if i.spec is not None:
            hello.spec.CopyFrom(i.spec)
        with self.lock:
            self._session = b""
            reply = self._ask(pb.Request(hello=hello), 0.0, deadline)
            if reply.code != pb.OK:
                error = error_of(reply.code, reply.message)
                error.during_hello = True
                raise error
            if not reply.HasField("hello"):
                raise InternalError(f"{self.url}: does not answer hello")
            if self._on_hello is not None:
                self._on_hello(reply.hello)
            self._session = reply.hello.session
            return reply.hello

    def request(self, request: pb.Request, deadline: float, extra: float = 0.0) -> pb.Reply:
        """Ask until there is an answer that is none of: busy, unavailable, no session.

        Each attempt waits the identity's `request_s` + `extra` seconds. Raises the answer's error;
        NoAnswerError after the deadline; ClosedError.
        """
        with self.lock:
            while True:
                if self._closed:
                    raise ClosedError("the client is closed")
                if not self._session:
                    self.hello(deadline)
                reply = self._ask(request, extra, deadline)
                if reply.code == pb.OK:
                    return reply
                if reply.code != pb.UNAUTHENTICATED:
                    raise error_of(reply.code, reply.message)
                self._session = b""  # it died with the daemon
                self.pause(RESET_S, deadline)
