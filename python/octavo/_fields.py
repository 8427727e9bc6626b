# Fields of option classes: every assignment checks name, type and value.
# SPDX-License-Identifier: Apache-2.0
"""A class derived from :class:`Config` declares its fields as class attributes made by the functions
below. Unknown names are refused with the nearest one, wrong types and values by the field's name."""

from __future__ import annotations

import copy
import difflib
import math
import numbers
import operator
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, dataclass_transform

from .errors import FieldTypeError, UnknownFieldError, UnsupportedError, UsageError

Check = Callable[[str, Any], Any]  # (name for messages, value) -> the value as it is stored

INT64_MAX = 2**63 - 1


def wrong_type(name: str, expected: str, value: Any) -> FieldTypeError:
    return FieldTypeError(f"{name}: expected {expected}, got {type(value).__name__} {short(value)}", name)


def short(value: Any) -> str:
    """A value for a message: printable, and not longer than a line."""
    try:
        text = repr(value)
    except Exception:  # repr is the caller's code
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


class Field:
    """A descriptor that stores what its check lets through."""

    def __init__(self, default: Any, check: Check, notice: bool = False) -> None:
        self.default = default
        self.check = check
        self.notice = notice
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self.default if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        name = f"{type(instance).__name__}.{self.name}"
        checked = self.check(name, value)
        if self.notice and checked != self.default:
            warnings.warn(f"{name}: accepted, but has no effect in Octavo", stacklevel=4)
        instance.__dict__[self.name] = checked

    def initial(self) -> Any:
        return self.default() if isinstance(self.default, type) else copy.copy(self.default)


def boolean(default: bool) -> Any:
    return Field(default, check_bool)


def integer(default: int | None, low: int = 0, high: int = INT64_MAX, optional: bool = False) -> Any:
    return Field(default, _optional(_integer(low, high), optional or default is None))


def number(default: float | None, low: float, high: float) -> Any:
    return Field(default, _optional(_number(low, high), default is None))


def choice(default: str | None, *choices: str, optional: bool = False) -> Any:
    """One of some words, in any case; the value is stored as listed."""
    return Field(default, _optional(_choice(choices), optional or default is None))


def text(default: str | None) -> Any:
    return Field(default, _optional(check_text, default is None))


def path(default: str | None) -> Any:
    return Field(default, _optional(check_path, default is None))


def texts(default: list[str] | None = None, single: bool = False) -> Any:
    return Field(default, _optional(_list(check_text, "str", single), True))


def integers(default: list[int] | None = None) -> Any:
    return Field(default, _optional(_list(_integer(-(2**31), 2**31 - 1), "int", False), True))


def ends() -> Any:
    """Nothing, or two float32 numbers, the lower first."""
    return Field(None, _optional(_ends, True))


def only(default: Any, *others: Any) -> Any:
    """A field of TensorRT-LLM's that Octavo has for these values alone."""
    return Field(default, _only((default, *others)))


def hint(default: Any) -> Any:
    """A field of TensorRT-LLM's that changes nothing here: another value is accepted with a warning."""
    return Field(default, _hint(type(default)), notice=True)


def nested(cls: type) -> Any:
    return Field(cls, _instance(cls))


def _optional(check: Check, optional: bool) -> Check:
    return (lambda name, value: None if value is None else check(name, value)) if optional else check


def check_bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(name, "bool", value)
    return value


def _integer(low: int, high: int) -> Check:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool):
            raise wrong_type(name, "int", value)
        try:
            whole = operator.index(value)
        except TypeError:
            raise wrong_type(name, "int", value) from None
        if not low <= whole <= high:
            raise UsageError(f"{name}: expected {low} to {high}, got {short(whole)}", name)
        return whole
    return check


def _number(low: float, high: float) -> Check:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise wrong_type(name, "float", value)
        try:
            real = float(value)
        except OverflowError:
            real = math.inf
        if not low <= real <= high:
            raise UsageError(f"{name}: expected {low:g} to {high:g}, got {short(value)}", name)
        return real
    return check


def _ends(name: str, value: Any) -> list[float]:
    if not isinstance(value, (list, tuple)):
        raise wrong_type(name, "a list of float", value)
    checked = [_number(-3.4e38, 3.4e38)(f"{name}[{i}]", each) for i, each in enumerate(value)]
    if len(checked) != 2 or not checked[0] < checked[1]:
        raise UsageError(f"{name}: expected a lower and an upper end, got {short(value)}", name)
    return checked


def check_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(name, "str", value)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"{name}: expected text in Unicode, got a lone surrogate at {error.start}",
                         name) from None
    return value


def check_path(name: str, value: Any) -> str:
    try:
        result = os.fspath(value)
    except TypeError:
        raise wrong_type(name, "str or os.PathLike", value) from None
    if not isinstance(result, str):
        raise wrong_type(name, "a path of str", value)
    if not result or "\0" in result:
        raise UsageError(f"{name}: expected a path, got {short(value)}", name)
    return check_text(name, result)


def _choice(choices: tuple[str, ...]) -> Check:
    def check(name: str, value: Any) -> str:
        value = getattr(value, "value", value)  # an enumeration of words
        found = [c for c in choices if c.lower() == check_text(name, value).lower()]
        if not found:
            raise UnsupportedError(f"{name}: expected one of {', '.join(choices)}, got {short(value)}", name)
        return found[0]
    return check


def _list(check: Check, kind: str, single: bool) -> Check:
    def check_list(name: str, value: Any) -> list[Any]:
        if single and isinstance(value, str):
            value = [value]
        if not isinstance(value, (list, tuple)):
            raise wrong_type(name, f"list of {kind}", value)
        return [check(f"{name}[{i}]", each) for i, each in enumerate(value)]
    return check_list


def _only(supported: tuple[Any, ...]) -> Check:
    def check(name: str, value: Any) -> Any:
        for each in supported:
            if type(each) is type(value) and each == value:
                return value
        listed = ", ".join(repr(each) for each in supported)
        raise UnsupportedError(f"{name}: Octavo supports {listed}, got {short(value)}", name)
    return check


def _hint(kind: type) -> Check:
    kinds = (bool, int, float, str) if kind is type(None) else (kind,)

    def check(name: str, value: Any) -> Any:
        if value is not None and type(value) not in kinds:
            raise wrong_type(name, " or ".join(each.__name__ for each in kinds), value)
        return value
    return check


def _instance(cls: type) -> Check:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, cls):
            raise wrong_type(name, cls.__name__, value)
        return value
    return check


def unknown(kind: str, name: Any, known: Any) -> UnknownFieldError:
    nearest = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.0)
    hint_text = f"; did you mean {nearest[0]}?" if nearest else ""
    return UnknownFieldError(f"{kind}: no field {short(name)}{hint_text}", str(name))


@dataclass_transform(kw_only_default=True)
class Config:
    """Base of the option classes: keyword arguments alone, each checked as it is set."""

    _fields: dict[str, Field] = {}

    def __init_subclass__(cls) -> None:
        cls._fields = {**cls._fields, **{n: f for n, f in vars(cls).items() if isinstance(f, Field)}}

    def __init__(self, **kwargs: Any) -> None:
        for name, field in self._fields.items():
            self.__dict__[name] = field.initial()
        for name, value in kwargs.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._fields:
            raise unknown(type(self).__name__, name, self._fields)
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self.__dict__.items())})"

    def to_dict(self) -> dict[str, Any]:
        """The fields, those that are options themselves as dictionaries."""
        return {n: v.to_dict() if isinstance(v, Config) else copy.copy(v) for n, v in self.__dict__.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Any:
        """The inverse of :meth:`to_dict`; absent fields keep their defaults."""
        if not isinstance(values, Mapping):
            raise wrong_type(cls.__name__, "a mapping", values)
        made = {}
        for name, value in values.items():
            field = cls._fields.get(name)
            if field is None:
                raise unknown(cls.__name__, name, cls._fields)
            inner = field.default
            is_config = isinstance(inner, type) and issubclass(inner, Config)
            made[name] = inner.from_dict(value) if is_config and isinstance(value, Mapping) else value
        return cls(**made)
