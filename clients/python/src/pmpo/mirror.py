"""The newest policy, kept up to date by a thread of its own."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from ._link import FOREVER, deadline_of
from .errors import (
    BusyError,
    ClosedError,
    ConflictError,
    InternalError,
    NoAnswerError,
    NotFoundError,
    PmpoError,
    UnavailableError,
)
from .policy import Policy, PolicySpec
from .types import Which

if TYPE_CHECKING:
    from ._base import Base

POLL_S = 10.0
RETRY_S = 0.2
PASSING = (NotFoundError, UnavailableError, InternalError, BusyError, NoAnswerError)


class Mirror:
    """Follows the reference (or the policy): `mirror.policy` is always the newest one fetched.

    Made by :meth:`pmpo.Client.follow` and :meth:`pmpo.Actor.follow`; ends with its owner, or by
    :meth:`close`. Any thread may read it.
    """

    def __init__(self, owner: Base, which: Which = "reference") -> None:
        self._owner = owner
        self._which: Which = which
        self._spec = PolicySpec.parse(owner.run.policy)
        self._link = owner._data_link()
        self._changed = threading.Condition()
        self._policy: Policy | None = None
        self._dead: PmpoError | None = None
        self._thread = threading.Thread(target=self._follow, name="pmpo-mirror", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        version = 0
        while True:
            try:
                # A policy in training is a new snapshot whenever one asks: ask by time.
                newer = version if self._which == "reference" else 0
                weights = self._owner._fetch(self._link, self._which, 0, newer, POLL_S, FOREVER)
                policy = Policy(self._spec, weights)
            except PASSING as e:
                if not isinstance(e, NotFoundError) or version == 0:
                    time.sleep(RETRY_S)
                continue
            except PmpoError as e:
                with self._changed:
                    self._dead = e
                    self._changed.notify_all()
                return
            version = policy.version
            with self._changed:
                self._policy = policy
                self._changed.notify_all()
            if self._which == "policy":
                time.sleep(RETRY_S)

    @property
    def policy(self) -> Policy:
        """The newest policy; waits for the first one. Raises why the mirror ended, if it did."""
        with self._changed:
            while self._policy is None or self._dead is not None:
                if self._dead is not None:
                    raise self._dead
                self._changed.wait(1.0)
            return self._policy

    @property
    def version(self) -> int:
        """The version of :attr:`policy`; 0 before the first."""
        policy = self._policy
        return policy.version if policy is not None else 0

    def wait(self, version: int = 0, timeout: float | None = None, exactly: bool = False) -> Policy:
        """Wait until a policy of at least this version is there, and return it.

        `exactly` (lockstep): ConflictError when a newer one is there already. Raises NoAnswerError
        after `timeout` seconds.
        """
        deadline = deadline_of(timeout)
        with self._changed:
            while True:
                if self._dead is not None:
                    raise self._dead
                policy = self._policy
                if policy is not None and policy.version >= version:
                    if exactly and policy.version != version:
                        raise ConflictError(
                            f"version {version} is needed, but {policy.version} is out already"
                        )
                    return policy
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NoAnswerError(f"version {version} has not come")
                self._changed.wait(min(left, 1.0))

    def close(self) -> None:
        """Stop following. The policy that is there can still be used."""
        with self._changed:
            self._dead = self._dead or ClosedError("the mirror is closed")
            self._changed.notify_all()
        self._link.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._owner._drop_link(self._link)

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
