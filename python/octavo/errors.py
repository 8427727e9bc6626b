# The exceptions that Octavo raises: one base, one class for each category of its C++ errors.
# SPDX-License-Identifier: Apache-2.0
"""Every exception is an :class:`Error`, and also the built-in class that its meaning suggests."""

from __future__ import annotations


class Error(Exception):
    """Base of all. ``category``, ``field`` and ``file`` say what is wrong where; both may be empty."""

    category = "internal"

    def __init__(self, message: str, field: str = "", file: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.file = file


class UsageError(Error, ValueError):
    """An argument or a field has a value that is not legal."""

    category = "usage"


class FieldTypeError(UsageError, TypeError):
    """An argument or a field has a value of the wrong type."""


class UnknownFieldError(UsageError, TypeError, AttributeError):
    """There is no field of this name; the message names the nearest one."""


class UnsupportedError(Error, NotImplementedError, ValueError):
    """Valid, but not something that Octavo does; the message lists what is supported."""

    category = "unsupported"


class BadFileError(Error, ValueError):
    """An input file is missing or malformed."""

    category = "bad file"


class EnvironmentFailure(Error, OSError):
    """I/O, a lock or the disk."""

    category = "environment"


class OutOfMemoryError(Error, MemoryError):
    """It does not fit in the memory of the host or the device."""

    category = "out of memory"


class DeviceError(Error, RuntimeError):
    """The device, or the engine that runs on it, failed. The engine accepts nothing any more."""

    category = "device"


class GateFailedError(Error, RuntimeError):
    """A stated budget was exceeded."""

    category = "gate failed"


class InternalError(Error, RuntimeError):
    """A bug of Octavo's."""


_CLASSES = {
    cls.category: cls
    for cls in (UsageError, UnsupportedError, BadFileError, EnvironmentFailure, OutOfMemoryError,
                DeviceError, GateFailedError, InternalError)
}


def make_error(category: str, message: str, field: str, file: str) -> Error:
    """The exception of a C++ error."""
    return _CLASSES.get(category, InternalError)(message, field, file)
