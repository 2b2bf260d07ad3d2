"""Weights as they come over the wire: named views of one flat float32 buffer, checked by hash."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from . import pmpo_pb2 as pb
from .errors import CorruptError, InternalError, InvalidError, NotFoundError
from .types import WHICH, Which

Floats = npt.NDArray[np.float32]

RANGE_BYTES = 1 << 20
RESTARTS_MAX = 5
BYTES_MAX = 1 << 36


@dataclass(frozen=True)
class View:
    """One named array of the buffer."""

    name: str
    shape: tuple[int, ...]
    offset: int  #: in floats


def weights_hash(views: Sequence[View], buffer: Floats) -> str:
    """Return the hash that the protocol gives weights: 32 hex digits.

    XXH3-128 over the number of views; for each view the length of its name, the name, its rank and
    its dimensions; then the buffer. Numbers are little-endian uint32.
    """
    state = xxhash.xxh3_128()
    state.update(struct.pack("<I", len(views)))
    for v in views:
        name = v.name.encode("utf-8")
        state.update(struct.pack("<I", len(name)) + name)
        state.update(struct.pack(f"<I{len(v.shape)}I", len(v.shape), *v.shape))
    state.update(np.ascontiguousarray(buffer, "<f4").tobytes())
    return state.hexdigest()


class Weights(Mapping[str, Floats]):
    """One version: a mapping of names to read-only arrays, all of them views of one buffer."""

    def __init__(
        self,
        version: int,
        learner_step: int,
        which: Which,
        policy: str,
        hash_hex: str,
        views: Sequence[View],
        flat: Floats,
    ) -> None:
        self.version = version
        self.learner_step = learner_step
        self.which: Which = which
        self.policy = policy  #: JSON: what the weights mean
        self.hash = hash_hex
        self.views = tuple(views)
        self.flat = flat
        self._arrays: dict[str, Floats] = {}
        for v in self.views:
            count = math.prod(v.shape)
            if v.offset + count > flat.size:
                raise CorruptError(f"version {version}: {v.name} lies beyond the buffer")
            self._arrays[v.name] = flat[v.offset : v.offset + count].reshape(v.shape)

    def __getitem__(self, name: str) -> Floats:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"Weights({self.which} {self.version}, {len(self)} arrays, {self.flat.size} floats)"

    def check(self) -> None:
        """Raise CorruptError unless the bytes have the hash they came with and are finite."""
        if weights_hash(self.views, self.flat) != self.hash:
            raise CorruptError(
                f"version {self.version}: the bytes do not have the hash {self.hash}"
            )
        if not np.isfinite(self.flat).all():
            raise CorruptError(f"version {self.version}: a weight is not finite")


Ask = Callable[[pb.Weights, float], pb.WeightsReply]


def _fetch_once(ask: Ask, want: pb.Weights, which: Which) -> Weights:
    first = ask(want, want.wait_ms / 1000)
    total = first.bytes
    if total % 4 != 0 or total > BYTES_MAX or first.offset != 0:
        raise InvalidError(f"weights of {total} bytes from {first.offset} on")
    buffer = bytearray(first.data)
    while len(buffer) < total:
        length = min(RANGE_BYTES, total - len(buffer))
        part = ask(
            pb.Weights(which=want.which, version=first.version, offset=len(buffer), length=length),
            0.0,
        )
        same = part.version == first.version and part.bytes == total
        if not same or part.offset != len(buffer) or not part.data:
            raise InternalError("weights: not the range that was asked for")
        if part.hash != first.hash:
            raise NotFoundError("weights: replaced meanwhile")
        buffer += part.data
    flat = np.frombuffer(bytes(buffer), "<f4").astype(np.float32, copy=False)
    views = [View(v.name, tuple(v.shape), v.offset) for v in first.views]
    weights = Weights(
        first.version, first.learner_step, which, first.policy, first.hash, views, flat
    )
    weights.check()
    return weights


def fetch(ask: Ask, which: Which, version: int, newer_than: int, wait_ms: int) -> Weights:
    """Fetch one version by byte ranges. `ask(request, extra seconds)` makes one request.

    Raises NotFoundError when there is no such version or nothing newer came in time, CorruptError.
    """
    want = pb.Weights(
        which=WHICH[which],  # type: ignore[arg-type]
        version=version,
        newer_than=newer_than,
        wait_ms=wait_ms,
        length=RANGE_BYTES,
    )
    found = False

    def noting(request: pb.Weights, extra: float) -> pb.WeightsReply:
        nonlocal found
        reply = ask(request, extra)
        found = True
        return reply

    for restart in range(RESTARTS_MAX + 1):
        found = False
        try:
            return _fetch_once(noting, want, which)
        except NotFoundError:
            # A version may be gone between two ranges: the newest is not.
            if not found or version != 0 or restart == RESTARTS_MAX:
                raise
    raise AssertionError("unreachable")
