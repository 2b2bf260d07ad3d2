"""What can go wrong, as exceptions: one for each code of the protocol, and those of this side.

Everything derives from :class:`PmpoError`. The daemon's own words are the exception's text.
"""

from __future__ import annotations

from . import pmpo_pb2 as pb


class PmpoError(Exception):
    """Base of everything that this package raises on purpose."""

    during_hello = False  #: it was hello that was answered so, not the request itself


class InvalidError(PmpoError, ValueError):
    """Malformed, of the wrong shape, out of range or not finite. Do not repeat it as it is."""


class UnauthenticatedError(PmpoError):
    """The token is missing, wrong, expired or revoked."""


class ForbiddenError(PmpoError):
    """The verb is not for this session's role."""


class NotFoundError(PmpoError, LookupError):
    """No such version, chunk or item; or nothing newer came while a long poll waited."""


class ConflictError(PmpoError):
    """A fenced instance, another spec, another run: going on would be wrong."""


class BusyError(PmpoError):
    """The daemon had too much to do for the whole of the timeout."""


class TooLargeError(PmpoError, ValueError):
    """Over one of the run's limits."""


class UnavailableError(PmpoError):
    """Not now (the disk is full, the daemon stops), or not offered by this daemon or run."""


class RunCompleteError(UnavailableError):
    """The run has made all its steps and takes no more rows: an actor that meets this is done."""


class InternalError(PmpoError):
    """A defect of the daemon, or an answer that is not one of pmpod's."""


class NoAnswerError(PmpoError, TimeoutError):
    """Nobody answered in time."""


class ClosedError(PmpoError):
    """The client was closed while it waited, or before."""


class CorruptError(PmpoError):
    """Bytes that do not have the hash they should have, or weights that are not finite."""


_BY_CODE: dict[int, type[PmpoError]] = {
    pb.INVALID: InvalidError,
    pb.UNAUTHENTICATED: UnauthenticatedError,
    pb.FORBIDDEN: ForbiddenError,
    pb.NOT_FOUND: NotFoundError,
    pb.CONFLICT: ConflictError,
    pb.BUSY: BusyError,
    pb.TOO_LARGE: TooLargeError,
    pb.UNAVAILABLE: UnavailableError,
    pb.INTERNAL: InternalError,
}


def error_of(code: int, message: str) -> PmpoError:
    """Return the exception that a reply's code and message stand for."""
    kind = _BY_CODE.get(code, InternalError)
    return kind(message or f"the daemon answered with code {code}")
