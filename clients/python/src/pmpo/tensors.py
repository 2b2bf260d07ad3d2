"""Numpy arrays to the wire's tensors and back: dtype, shape and raw little-endian bytes."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from . import pmpo_pb2 as pb
from .errors import InvalidError

Array = npt.NDArray[Any]

_DTYPES: dict[int, np.dtype[Any]] = {
    pb.F32: np.dtype("<f4"),
    pb.F64: np.dtype("<f8"),
    pb.I8: np.dtype("i1"),
    pb.U8: np.dtype("u1"),
    pb.I32: np.dtype("<i4"),
    pb.U32: np.dtype("<u4"),
    pb.I64: np.dtype("<i8"),
    pb.U64: np.dtype("<u8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def dtype_of(code: int) -> np.dtype[Any]:
    """Return numpy's dtype for one of the wire's. Raises InvalidError for an unknown one."""
    try:
        return _DTYPES[code]
    except KeyError:
        raise InvalidError(f"{code} is no dtype of the protocol") from None


def code_of(dtype: npt.DTypeLike) -> pb.DType.ValueType:
    """Return the wire's dtype for numpy's. Raises InvalidError for one that has none."""
    try:
        return cast("pb.DType.ValueType", _CODES[np.dtype(dtype).newbyteorder("<")])
    except KeyError:
        raise InvalidError(f"dtype {np.dtype(dtype)} has no place in the protocol") from None


def pack(
    values: npt.ArrayLike, dtype: npt.DTypeLike, shape: tuple[int, ...], name: str
) -> pb.Tensor:
    """Return `values` as a tensor of exactly this dtype and shape.

    Numbers are converted where nothing is lost but digits (float64 to float32, int64 to int32
    within its range); a float for an integer column, a number out of range, one that is not
    finite, or another shape raises InvalidError naming the column.
    """
    want = np.dtype(dtype).newbyteorder("<")
    array = np.asarray(values)
    if array.shape != shape:
        raise InvalidError(f"{name} has shape {array.shape}, expected {shape}")
    if array.dtype != want:
        array = _convert(array, want, name)
    if want.kind == "f" and not np.isfinite(array).all():
        raise InvalidError(f"{name} holds a number that is not finite")
    return pb.Tensor(dtype=code_of(want), shape=shape, data=array.tobytes())


def _convert(array: Array, want: np.dtype[Any], name: str) -> Array:
    if array.dtype.kind not in "biuf" or (want.kind in "iu" and array.dtype.kind == "f"):
        raise InvalidError(f"{name} has dtype {array.dtype}, expected {want}")
    if want.kind in "iu" and array.size > 0 and array.dtype.kind != "b":
        limits = np.iinfo(want)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise InvalidError(f"{name} holds a number that is no {want}")
    with np.errstate(over="ignore"):  # what overflows is not finite, which the caller checks
        return array.astype(want)


def unpack(tensor: pb.Tensor) -> Array:
    """Return a tensor as a read-only array. Raises InvalidError when bytes and shape disagree."""
    dtype = dtype_of(tensor.dtype)
    shape = tuple(tensor.shape)
    if math.prod(shape) * dtype.itemsize != len(tensor.data):
        raise InvalidError(f"a tensor of shape {shape} with {len(tensor.data)} bytes of {dtype}")
    return np.frombuffer(tensor.data, dtype).reshape(shape)
