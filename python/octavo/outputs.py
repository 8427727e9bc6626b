# RequestOutput: what a request has produced so far; awaitable, and an iterator while it streams.
# SPDX-License-Identifier: Apache-2.0
"""Results of generate and generate_async."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, Optional

from . import _octavo
from .errors import DeviceError

_SLICE_MS = 50  # between looks at pending signals, so that Ctrl-C works


class Logprob:
    """Natural log-probability of a drawn token, and of the likeliest ones, likeliest first."""

    __slots__ = ("token_id", "logprob", "top")

    def __init__(self, token_id: int, logprob: float, top: list[tuple[int, float]]) -> None:
        self.token_id, self.logprob, self.top = token_id, logprob, top

    def __repr__(self) -> str:
        return f"Logprob(token_id={self.token_id}, logprob={self.logprob:.4f}, top={self.top})"


class CompletionOutput:
    """The one completion of a request.

    text; token_ids: the generated ones, an end id included; logprobs: one a token, where asked for;
    finish_reason: None while it runs, then "stop", "length", "abort" or "error". text_diff and
    token_ids_diff are what the last piece of a stream added.
    """

    def __init__(self) -> None:
        self.index = 0
        self.text = ""
        self.token_ids: list[int] = []
        self.logprobs: list[Logprob] = []
        self.finish_reason: Optional[str] = None
        self.text_diff = ""
        self.token_ids_diff: list[int] = []

    @property
    def length(self) -> int:
        return len(self.token_ids)

    @property
    def cumulative_logprob(self) -> Optional[float]:
        return sum(each.logprob for each in self.logprobs) if self.logprobs else None

    def __repr__(self) -> str:
        return (f"CompletionOutput(index={self.index}, text={self.text!r}, token_ids={self.token_ids}, "
                f"finish_reason={self.finish_reason!r})")

    def _add(self, text: str, token_ids: list[int], logprobs: list[Any]) -> None:
        self.text_diff, self.token_ids_diff = text, token_ids
        self.text += text
        self.token_ids += token_ids
        self.logprobs += [Logprob(*each) for each in logprobs]


class RequestOutput:
    """A request under way or finished.

    prompt, prompt_token_ids (known when it has finished), outputs (one CompletionOutput), finished,
    error. Of generate_async: ``await output`` or ``output.result()`` waits for the end; ``for`` and
    ``async for`` yield this object once a piece, with what came so far; ``abort()`` ends it early.
    """

    def __init__(self, native: _octavo.PendingCompletion, request_id: int, prompt: Optional[str],
                 prompt_token_ids: list[int], owner: Any) -> None:
        self._native = native
        self._owner = owner  # the LLM, which must not be collected while the request runs
        self.request_id = request_id
        self.prompt = prompt
        self.prompt_token_ids = prompt_token_ids
        self.outputs = [CompletionOutput()]
        self.finished = False
        self.error: Optional[str] = None

    def __repr__(self) -> str:
        return (f"RequestOutput(request_id={self.request_id}, prompt={self.prompt!r}, "
                f"outputs={self.outputs}, finished={self.finished})")

    def abort(self) -> None:
        """Ends the request soon, with finish_reason "abort"; the tokens so far stay."""
        self._native.cancel()

    cancel = abort

    def done(self) -> bool:
        """Whether the request has ended; it does not wait."""
        return self.finished or self._native.ended()

    def result(self, timeout: Optional[float] = None) -> RequestOutput:
        """Waits for the end, at most `timeout` seconds (then TimeoutError), and returns this object.

        Raises DeviceError where the engine failed."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._native.wait_end(_slice_ms(end)):
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"request {self.request_id} did not finish in {timeout} s")
        while self._take():
            pass
        return self

    async def aresult(self) -> RequestOutput:
        """The same for asyncio."""
        async for _ in self:
            pass
        return self

    def __await__(self) -> Generator[Any, None, RequestOutput]:
        return self.aresult().__await__()

    def __iter__(self) -> Iterator[RequestOutput]:
        while not self.finished:
            while not self._native.wait(_SLICE_MS):
                pass
            if self._take():
                yield self

    async def __aiter__(self) -> AsyncIterator[RequestOutput]:
        waiters = _Waiters.of(asyncio.get_running_loop())
        while not self.finished:
            await waiters.wait(self._native)
            if self._take():
                yield self

    def _take(self) -> bool:
        """Adds the next piece; False where there is none. Marks the end, and raises what ended it."""
        ended = self._native.ended()
        piece = self._native.try_next()
        if piece is not None:
            self.outputs[0]._add(*piece)
        if ended and not self.finished and not self._native.has_piece():
            self._finish()
        return piece is not None

    def _finish(self) -> None:
        self.finished = True
        reason, error, self.prompt_token_ids = self._native.ending()
        self.outputs[0].finish_reason = reason
        self._owner = None
        if reason == "error":
            self.error = error
            raise DeviceError(f"request {self.request_id}: {error}", "generate")


def _slice_ms(end: Optional[float]) -> int:
    if end is None:
        return _SLICE_MS
    return max(0, min(_SLICE_MS, int((end - time.monotonic()) * 1000) + 1))


class _Waiters:
    """The requests that one asyncio loop waits for: one file descriptor wakes it for all of them, so that
    the engine's thread never needs the interpreter lock."""

    _all: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiters] = weakref.WeakKeyDictionary()

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _Waiters:
        found = cls._all.get(loop)
        if found is None:
            found = cls._all[loop] = cls()
        return found

    def __init__(self) -> None:
        self._notifier = _octavo.Notifier()
        self._waiting: dict[asyncio.Future[None], _octavo.PendingCompletion] = {}

    async def wait(self, native: _octavo.PendingCompletion) -> None:
        """Returns when `native` has a piece or has ended."""
        if native.wait(0):
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.add_reader(self._notifier.fileno(), self._wake)
        self._waiting[future] = native
        try:
            native.subscribe(self._notifier)
            await future
        finally:
            del self._waiting[future]
            if not self._waiting:
                loop.remove_reader(self._notifier.fileno())

    def _wake(self) -> None:
        self._notifier.clear()
        for future, native in self._waiting.items():
            if not future.done() and native.wait(0):
                future.set_result(None)
