"""An array on a device that stands where a numpy array is expected.

It has numpy's shape, dtype and flags. Reading a slice copies to the host, writing one copies back;
engines that work on the same device take its address instead. It does not own memory: it keeps its
allocation alive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from runtime.engines.elements import Element

if TYPE_CHECKING:
    from runtime.engines.cuda_memory import CudaMemory

Array = NDArray[Any]


@dataclass
class Flags:
    """As much of numpy's flags as the runtime looks at."""

    c_contiguous: bool = True
    writeable: bool = True


class DeviceArray:
    """A dense array at `address` of a device's memory; valid as long as `owner` is."""

    def __init__(
        self,
        memory: CudaMemory,
        shape: Sequence[int],
        element: Element,
        address: int,
        owner: object,
    ) -> None:
        self.memory = memory
        self.shape = tuple(shape)
        self.element = element
        self.address = address
        self.owner = owner
        self.flags = Flags()

    @property
    def dtype(self) -> np.dtype[Any]:
        """As numpy's."""
        return self.element.shown

    @property
    def ndim(self) -> int:
        """As numpy's."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """As numpy's."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return self.size * self.element.stored.itemsize

    def numpy(self) -> Array:
        """A copy on the host; waits for the work before it."""
        return self.element.decode(self.memory.download(self))

    def write(self, numbers: Array) -> None:
        """Replace everything with an array of the same shape."""
        if not self.flags.writeable:
            raise ValueError("assignment destination is read-only")
        self.memory.upload(self, self.element.encode(np.broadcast_to(numbers, self.shape)))

    def copy(self) -> Array:
        """The values as an array of numpy's, on the host."""
        return self.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.numpy(), dtype)

    def __getitem__(self, key: Any) -> Array:
        return np.asarray(self.numpy()[key])

    def __setitem__(self, key: Any, numbers: Any) -> None:
        host = self.numpy() if key is not Ellipsis else np.empty(self.shape, self.dtype)
        host[key] = numbers
        self.write(host)

    def as_array(self) -> Array:
        """This object under the type that engines exchange."""
        return cast(Array, self)


def device_array(array: object) -> DeviceArray | None:
    """The array where it is on a device."""
    return array if isinstance(array, DeviceArray) else None


def on_host(array: Array) -> Array:
    """The array's numbers in numpy; a copy only where they are on a device."""
    found = device_array(array)
    return array if found is None else found.numpy()
