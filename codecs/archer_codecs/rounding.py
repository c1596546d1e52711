"""The one way from float64 to int16: round to nearest (ties to even), clamp, cast."""

import numpy as np
import numpy.typing as npt

INT16 = np.dtype("<i2")
Int16s = npt.NDArray[np.int16]

# Zero-dimensional arrays: a Python float would be converted on every call, at twice the price of the clamp itself.
_LOW = np.array(-32768.0)
_HIGH = np.array(32767.0)
_rint = np.rint


def to_int16(values: npt.NDArray[np.float64]) -> Int16s:
    """Round, clamp and cast `values`, which are overwritten and must hold no NaN; any shape."""
    values.clip(_LOW, _HIGH, values)  # the method: np.clip() and a pair of minimum and maximum cost twice as much
    _rint(values, values)
    return values.astype(INT16)
