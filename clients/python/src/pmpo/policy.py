"""Policies in NumPy: what fetched weights say about outcomes.

`Policy(weights.policy, weights)` understands what hello's policy JSON describes (docs/protocol.md,
"Policies"): free parameters or a multi-layer perceptron, whose head is a gaussian of independent
dimensions, one of full covariance, or bins. It evaluates and draws; training is the daemon's.

Shapes: B conditions, M draws of each, D dimensions of an outcome, H floats of a head.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from .errors import InvalidError

Floats = npt.NDArray[np.floating[Any]]
Kind = Literal["diag_gaussian", "gaussian", "categorical"]

LAYER_NORM_EPS = 1e-5
OBSERVATION_MAX = 10.0
LOG_2PI = float(np.log(2.0 * np.pi))

_DIST_KEYS: dict[str, type] = {
    "dim": int,
    "bins": int,
    "split": bool,
    "per_dim": bool,
    "squash_mean": bool,
    "std_scale": float,
    "std_min": float,
    "low": float,
    "high": float,
}
_KEYS: dict[str, type] = {
    "obs": int,
    "network": bool,
    "first_layer_norm": bool,
    "init_std": float,
    "init_mean_range": float,
}
_LATER_KEYS: dict[str, type] = {"normalize": bool, "layer_norm_all": bool}


def _read(where: Mapping[str, Any], key: str, kind: type) -> Any:
    value = where.get(key)
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and numeric:
        return float(cast("float", value))
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise InvalidError(f'the policy\'s "{key}" is missing or of another type')


@dataclass(frozen=True)
class PolicySpec:
    """The policy JSON, read. An unknown key is refused: do not act with what you do not know."""

    kind: Kind
    dim: int
    bins: int
    squash_mean: bool
    std_scale: float
    std_min: float
    low: float
    high: float
    obs: int
    network: bool
    hidden: tuple[int, ...]
    first_layer_norm: bool
    layer_norm_all: bool
    normalize: bool

    @classmethod
    def parse(cls, text: str) -> PolicySpec:
        """Read the JSON of hello or of weights. Raises InvalidError."""
        try:
            root = json.loads(text)
        except ValueError as e:
            raise InvalidError(f"the policy's description is no JSON: {e}") from None
        dist = root.get("dist") if isinstance(root, dict) else None
        hidden = root.get("hidden") if isinstance(root, dict) else None
        if not isinstance(dist, dict) or not isinstance(hidden, list):
            raise InvalidError("the policy's description has no dist or no list hidden")
        unknown = set(root) - set(_KEYS) - set(_LATER_KEYS) - {"dist", "hidden"}
        unknown |= set(dist) - set(_DIST_KEYS) - {"kind"}
        if unknown:
            raise InvalidError(f"the policy's description has unknown keys: {sorted(unknown)}")
        values = {key: _read(root, key, kind) for key, kind in _KEYS.items()}
        values |= {key: _read(dist, key, kind) for key, kind in _DIST_KEYS.items()}
        for key, later in _LATER_KEYS.items():
            values[key] = _read(root, key, later) if key in root else False
        if dist.get("kind") not in ("diag_gaussian", "gaussian", "categorical"):
            raise InvalidError(f"the policy family {dist.get('kind')!r} is not known")
        if not all(isinstance(n, int) and n > 0 for n in hidden):
            raise InvalidError('the policy\'s "hidden" holds something else than sizes')
        names = set(cls.__dataclass_fields__) & set(values)
        picked = {name: values[name] for name in names}
        return cls(kind=cast("Kind", dist["kind"]), hidden=tuple(hidden), **picked)

    @property
    def head(self) -> int:
        """Floats of a head."""
        if self.kind == "categorical":
            return self.dim * self.bins
        spread = self.dim if self.kind == "diag_gaussian" else self.dim * (self.dim + 1) // 2
        return self.dim + spread


def _softplus(x: Floats) -> Floats:
    return np.asarray(np.logaddexp(0.0, x))


def _layer_norm(x: Floats, gain: Floats, shift: Floats) -> Floats:
    mean = x.mean(axis=-1, keepdims=True, dtype=np.float64)
    deviation = x - mean
    scale = 1.0 / np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + LAYER_NORM_EPS)
    return np.asarray((deviation * scale).astype(x.dtype) * gain + shift)


def _elu(x: Floats) -> Floats:
    return np.asarray(np.where(x > 0, x, np.expm1(np.minimum(x, 0))))


class Policy:
    """One version of a policy. Immutable: any thread may use it."""

    def __init__(self, spec: PolicySpec | str, weights: Mapping[str, npt.ArrayLike]) -> None:
        """`weights` are what :meth:`pmpo.Client.weights` returned, or any mapping like it.

        Raises InvalidError when an array is missing or of another shape.
        """
        self.spec = PolicySpec.parse(spec) if isinstance(spec, str) else spec
        self.version = int(getattr(weights, "version", 0))  #: 0: not known
        self._arrays: dict[str, Floats] = {}
        for name, shape in self.shapes(self.spec).items():
            if name not in weights:
                raise InvalidError(f"the weights have no {name}")
            array = np.asarray(weights[name], np.float32)
            if array.shape != shape:
                raise InvalidError(f"{name} has shape {array.shape}, expected {shape}")
            self._arrays[name] = array

    @staticmethod
    def shapes(spec: PolicySpec) -> dict[str, tuple[int, ...]]:
        """Return the arrays that a policy of this description has, with their shapes."""
        if not spec.network:
            if spec.kind == "categorical":
                return {"policy/logits": (spec.dim, spec.bins)}
            spread = "policy/std_raw" if spec.kind == "diag_gaussian" else "policy/chol_raw"
            return {"policy/mean_raw": (spec.dim,), spread: (spec.head - spec.dim,)}
        sizes = [spec.obs, *spec.hidden, spec.head]
        out: dict[str, tuple[int, ...]] = {}
        for i, (width_in, width) in enumerate(itertools.pairwise(sizes)):
            out[f"policy/linear_{i}/weight"] = (width_in, width)
            out[f"policy/linear_{i}/bias"] = (width,)
            norm = Policy._norm_name(spec, i)
            if norm is not None:
                out[f"{norm}/gain"] = (width,)
                out[f"{norm}/shift"] = (width,)
        if spec.normalize:
            out["policy/observation/mean"] = (spec.obs,)
            out["policy/observation/scale"] = (spec.obs,)
        return out

    @staticmethod
    def _norm_name(spec: PolicySpec, layer: int) -> str | None:
        if layer >= len(spec.hidden):
            return None
        if layer == 0:
            return "policy/layer_norm" if spec.first_layer_norm else None
        return f"policy/layer_norm_{layer}" if spec.layer_norm_all else None

    # ---- heads ----

    def head(self, condition: npt.ArrayLike | None = None) -> Floats:
        """Return heads (B, H) of conditions (B, obs), or (1, H) of a policy without condition.

        A single condition (obs,) counts as one row. Raises InvalidError for another shape.
        """
        spec = self.spec
        if not spec.network:
            return np.concatenate([a.reshape(-1) for a in self._arrays.values()])[np.newaxis]
        if condition is None:
            raise InvalidError(f"this policy needs conditions of {spec.obs} floats")
        x: Floats = np.asarray(condition, np.float32)
        x = x[np.newaxis] if x.ndim == 1 else x
        if x.ndim != 2 or x.shape[1] != spec.obs:
            raise InvalidError(f"conditions of shape {x.shape}, expected (B, {spec.obs})")
        a = self._arrays
        if spec.normalize:
            x = (x - a["policy/observation/mean"]) * a["policy/observation/scale"]
            x = np.clip(x, -OBSERVATION_MAX, OBSERVATION_MAX)
        for i in range(len(spec.hidden)):
            x = x @ a[f"policy/linear_{i}/weight"] + a[f"policy/linear_{i}/bias"]
            norm = self._norm_name(spec, i)
            if norm is not None:
                x = _layer_norm(x, a[f"{norm}/gain"], a[f"{norm}/shift"])
            x = np.tanh(x) if i == 0 and spec.first_layer_norm else _elu(x)
        last = len(spec.hidden)
        return np.asarray(x @ a[f"policy/linear_{last}/weight"] + a[f"policy/linear_{last}/bias"])

    def mean(self, condition: npt.ArrayLike | None = None) -> Floats:
        """Return the gaussian's mean (B, D). Raises InvalidError for bins."""
        self._need_gaussian()
        return self._mean(self.head(condition)).astype(np.float32)

    def std(self, condition: npt.ArrayLike | None = None) -> Floats:
        """Return the gaussian's standard deviation in each dimension (B, D)."""
        self._need_gaussian()
        head = self.head(condition)
        if self.spec.kind == "diag_gaussian":
            return self._std(head).astype(np.float32)
        return np.asarray(np.sqrt((self._chol(head) ** 2).sum(axis=-1)).astype(np.float32))

    def chol(self, condition: npt.ArrayLike | None = None) -> Floats:
        """Return the lower Cholesky factor of the covariance (B, D, D)."""
        self._need_gaussian()
        head = self.head(condition)
        if self.spec.kind == "gaussian":
            return self._chol(head)
        std = self._std(head)
        return np.asarray(std[:, :, np.newaxis] * np.eye(self.spec.dim))

    def probabilities(self, condition: npt.ArrayLike | None = None) -> Floats:
        """Return the probabilities of bins (B, D, bins). Raises InvalidError for gaussians."""
        return np.asarray(np.exp(self._log_softmax(self.head(condition))))

    def _need_gaussian(self) -> None:
        if self.spec.kind == "categorical":
            raise InvalidError("a policy over bins has probabilities, no mean")

    def _mean(self, head: Floats) -> Floats:
        raw = head[:, : self.spec.dim].astype(np.float64)
        return np.asarray(np.tanh(raw)) if self.spec.squash_mean else raw

    def _spread(self, raw: Floats) -> Floats:
        wide = _softplus(raw.astype(np.float64))
        return np.asarray(wide * self.spec.std_scale + self.spec.std_min)

    def _std(self, head: Floats) -> Floats:
        return self._spread(head[:, self.spec.dim :])

    def _chol(self, head: Floats) -> Floats:
        d = self.spec.dim
        out = np.zeros((head.shape[0], d, d))
        rows, columns = np.tril_indices(d)
        out[:, rows, columns] = head[:, d:]
        diagonal = np.arange(d)
        out[:, diagonal, diagonal] = self._spread(out[:, diagonal, diagonal])
        return out

    def _log_softmax(self, head: Floats) -> Floats:
        if self.spec.kind != "categorical":
            raise InvalidError("a gaussian has a mean and a spread, no bins")
        logits = head.reshape(-1, self.spec.dim, self.spec.bins).astype(np.float64)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))

    # ---- outcomes ----

    def mode(self, condition: npt.ArrayLike | None = None) -> npt.NDArray[Any]:
        """Return the mean (B, D), or the likeliest bins (B, D; int32, the lowest on ties)."""
        if self.spec.kind != "categorical":
            return self.mean(condition)
        bins: npt.NDArray[np.int32]
        bins = self._log_softmax(self.head(condition)).argmax(axis=-1).astype(np.int32)
        return bins

    def sample(
        self,
        rng: np.random.Generator,
        condition: npt.ArrayLike | None = None,
        draws: int = 1,
    ) -> npt.NDArray[Any]:
        """Draw `draws` outcomes of each condition: (B * draws, D), those of a condition together.

        float32, raw (not clipped: this is what goes into a chunk); bins: int32.
        """
        head = self.head(condition)
        b, d = head.shape[0], self.spec.dim
        if self.spec.kind == "categorical":
            logits = self._log_softmax(head)[:, np.newaxis]
            noise = rng.gumbel(size=(b, draws, d, self.spec.bins))
            bins: npt.NDArray[np.int32] = (logits + noise).argmax(axis=-1).astype(np.int32)
            return bins.reshape(b * draws, d)
        noise = rng.standard_normal((b, draws, d))
        if self.spec.kind == "diag_gaussian":
            y = self._mean(head)[:, np.newaxis] + self._std(head)[:, np.newaxis] * noise
        else:
            y = self._mean(head)[:, np.newaxis] + noise @ self._chol(head).transpose(0, 2, 1)
        return y.astype(np.float32).reshape(b * draws, d)

    def log_prob(
        self, outcome: npt.ArrayLike, condition: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return log pi(y | x) (N) of outcomes (N, D).

        With B conditions, N = B * M: outcome j belongs to condition j // M. Raises InvalidError for
        other shapes and for bins that do not exist.
        """
        head = self.head(condition)
        y = np.asarray(outcome)
        d, b = self.spec.dim, head.shape[0]
        if y.ndim != 2 or y.shape[1] != d or y.shape[0] % b != 0:
            raise InvalidError(f"outcomes of shape {y.shape} for {b} conditions of dimension {d}")
        y = y.reshape(b, -1, d)
        if self.spec.kind == "categorical":
            if ((y < 0) | (y >= self.spec.bins)).any():
                raise InvalidError(f"a bin that does not exist: they are 0 to {self.spec.bins - 1}")
            index = y.astype(np.int64)[..., np.newaxis]
            log_p = self._log_softmax(head)[:, np.newaxis]
            picked = np.take_along_axis(
                np.broadcast_to(log_p, (*y.shape, self.spec.bins)), index, -1
            )
            return np.asarray(picked[..., 0].sum(axis=-1).reshape(-1))
        deviation = y.astype(np.float64) - self._mean(head)[:, np.newaxis]
        if self.spec.kind == "diag_gaussian":
            std = self._std(head)[:, np.newaxis]
            each = -0.5 * (deviation / std) ** 2 - np.log(std) - 0.5 * LOG_2PI
            return np.asarray(each.sum(axis=-1).reshape(-1))
        chol = self._chol(head)
        white = np.linalg.solve(chol[:, np.newaxis], deviation[..., np.newaxis])[..., 0]
        log_det = np.log(np.diagonal(chol, axis1=1, axis2=2)).sum(axis=-1)[:, np.newaxis]
        total = -0.5 * (white**2).sum(axis=-1) - log_det - 0.5 * d * LOG_2PI
        return np.asarray(total.reshape(-1))

    def action(self, outcome: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return what the environment gets of outcomes: clipped to the box, or the bins' values."""
        low, high = self.spec.low, self.spec.high
        y = np.asarray(outcome)
        if self.spec.kind == "categorical":
            step = (high - low) / (self.spec.bins - 1)
            return np.asarray(low + step * y, np.float32)
        return np.asarray(np.clip(y, low, high), np.float32)
