"""Streams of the SDKs that count what passes and settle once, however they end.

A metered stream is an instance of the SDK's own class and hands everything that it does not know to the stream that it
wraps. The SDKs' helpers close the HTTP response and not the stream, so that is watched too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ._call import Call
from ._connection import run
from .errors import StreamConsumed

CONSUMED = "This stream was read or left already"
# Asyncio keeps only weak references to tasks.
_tasks: set[asyncio.Task[None]] = set()


class _Stream:
    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._call = call
        self._is_over = False
        # Whether the SDK is asked for the next event now: then it is the SDK that closes the response.
        self._is_pulling = False
        self._watch(inner.response)
        response = weakref.ref(inner.response)
        call.on_stall(lambda: _cut(response()))

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)

    def _watch(self, response: Any) -> None:
        raise NotImplementedError

    def _leave(self) -> None:
        raise NotImplementedError

    def _response_closed(self) -> None:
        if not self._is_pulling:
            self._leave()

    def __del__(self) -> None:
        if not self.__dict__.get("_is_over", True):
            self._leave()


class SyncStream(_Stream):
    def _watch(self, response: Any) -> None:
        close, watched, call = response.close, weakref.ref(self), self._call

        def closed() -> None:
            stream = watched()
            if stream is not None:
                stream._response_closed()
            if not call.is_draining:
                close()

        response.close = closed

    def __iter__(self) -> Iterator[Any]:
        if self._is_over:
            raise self._call.translate(StreamConsumed(CONSUMED))
        return self._events()

    def _events(self) -> Iterator[Any]:
        try:
            while True:
                try:
                    event = self.__next__()
                except StopIteration:
                    return
                yield event
        finally:
            self._leave()

    def __next__(self) -> Any:
        if self._is_over:
            raise StopIteration
        call = self._call
        while True:
            if call.is_at_limit:
                run(call.ask())
            if call.is_stopped:
                self._is_over = True
                self._inner.close()
                raise run(call.stop())
            self._is_pulling = True
            try:
                event = next(self._inner)
            except StopIteration:
                self._is_over = True
                if call.is_stopped and not call.reader.is_complete:
                    raise run(call.stop()) from None
                run(call.end())
                raise
            except Exception as error:
                self._is_over = True
                if call.is_stopped:
                    raise run(call.stop()) from error
                run(call.fail())
                raise
            except BaseException:
                self._leave()
                raise
            finally:
                self._is_pulling = False
            if call.see(event):
                return event

    def close(self) -> None:
        self._leave()
        if not self._call.is_draining:
            self._inner.close()

    def _leave(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        call, inner = self._call, self._inner
        call.is_draining = call.drain_seconds > 0
        # Neither waiting nor locks are allowed here: this may run in a destructor.
        call.core.worker.submit(lambda: _end_left(call, inner))


def _end_left(call: Call, inner: Any) -> None:
    if call.is_draining:
        if call.core.drains.acquire(blocking=False):
            threading.Thread(target=_drain, args=(call, inner), daemon=True).start()
            return
        call.is_draining = False
    with contextlib.suppress(Exception):
        inner.close()
    call.leave()


def _drain(call: Call, inner: Any) -> None:
    seconds = call.drain_seconds
    end = time.monotonic() + seconds
    give_up = threading.Timer(seconds, _give_up, (call, inner))
    give_up.daemon = True
    give_up.start()
    try:
        for event in inner:
            call.reader.read(event)
            if call.reader.is_complete or time.monotonic() > end:
                break
    except Exception:
        # The connection was cut, or the provider failed: what was seen is settled.
        pass
    finally:
        give_up.cancel()
        call.core.drains.release()
        call.is_draining = False
        with contextlib.suppress(Exception):
            inner.close()
        run(call.drained())


def _give_up(call: Call, inner: Any) -> None:
    call.leave()
    _cut(inner.response)


def _cut(response: Any) -> None:
    """Ends a stream whose reader waits for an event that does not come."""
    # If that fails, it is closed, or the reader waits until the SDK's own time-out.
    with contextlib.suppress(AttributeError, KeyError, OSError):
        response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class AsyncStream(_Stream):
    _next_event: asyncio.Future[Any] | None = None

    def _watch(self, response: Any) -> None:
        close, watched, call = response.aclose, weakref.ref(self), self._call

        async def closed() -> None:
            stream = watched()
            if stream is not None:
                stream._response_closed()
            if not call.is_draining:
                await close()

        response.aclose = closed

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._is_over:
            raise self._call.translate(StreamConsumed(CONSUMED))
        return self._events()

    async def _events(self) -> AsyncIterator[Any]:
        try:
            while True:
                try:
                    event = await self.__anext__()
                except StopAsyncIteration:
                    return
                yield event
        finally:
            self._leave()

    async def __anext__(self) -> Any:
        if self._is_over:
            raise StopAsyncIteration
        call = self._call
        while True:
            if call.is_at_limit:
                await call.ask()
            if call.is_stopped:
                self._is_over = True
                await self._inner.close()
                raise await call.stop()
            self._is_pulling = True
            try:
                event = await self._pull()
            except StopAsyncIteration:
                self._is_over = True
                if call.is_stopped and not call.reader.is_complete:
                    raise await call.stop() from None
                await call.end()
                raise
            except Exception as error:
                self._is_over = True
                if call.is_stopped:
                    raise await call.stop() from error
                await call.fail()
                raise
            except BaseException:
                self._leave()
                raise
            finally:
                self._is_pulling = False
            if call.see(event):
                return event

    async def _pull(self) -> Any:
        if self._call.policy != "drain":
            return await self._inner.__anext__()
        # A cancelled consumer must not cancel the SDK's stream, which is read on.
        self._next_event = asyncio.ensure_future(self._inner.__anext__())
        event = await asyncio.shield(self._next_event)
        self._next_event = None
        return event

    async def close(self) -> None:
        self._leave()
        if not self._call.is_draining:
            await self._inner.close()

    aclose = close

    def _leave(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        call, inner = self._call, self._inner
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # The loop has ended, and its connections with it.
            call.leave()
            return
        call.is_draining = call.drain_seconds > 0 and call.core.drains.acquire(blocking=False)
        if not call.is_draining:
            call.leave()
        task = loop.create_task(_drain_async(call, inner, self._next_event) if call.is_draining else _close(inner))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


async def _close(inner: Any) -> None:
    # A connection that breaks while it is closed is closed.
    with contextlib.suppress(Exception):
        await inner.close()


async def _drain_async(call: Call, inner: Any, next_event: asyncio.Future[Any] | None) -> None:
    async def read_on() -> None:
        if next_event is not None:
            call.reader.read(await next_event)
        while not call.reader.is_complete:
            call.reader.read(await inner.__anext__())

    try:
        await asyncio.wait_for(read_on(), call.drain_seconds)
    except Exception:
        # Too late, or the provider failed: what was seen is settled.
        pass
    except BaseException:
        # The loop ends.
        call.leave()
        raise
    finally:
        call.core.drains.release()
        call.is_draining = False
    await call.drained()
    await _close(inner)


@functools.cache
def _class_of(metered: Any, inner: Any) -> Any:
    return type(f"Metered{inner.__name__}", (metered, inner), {})


def metered_stream(inner: Any, call: Call) -> Any:
    kind: Any = AsyncStream if hasattr(inner, "__anext__") else SyncStream
    own_class: Any = type(inner)
    return _class_of(kind, own_class)(inner, call)
