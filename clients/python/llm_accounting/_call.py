"""One metered call of a provider, from its hold to its one settlement."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ._api import Usage
from ._connection import Sender
from ._core import SessionState, Settlement
from ._readers import Reader
from .errors import AccountingError, CreditsExhausted, RequestRejected


class Call:
    """Knows no stream, so that it does not keep one alive that was forgotten."""

    def __init__(
        self,
        state: SessionState,
        sender: Sender,
        reader: Reader,
        translate: Callable[[AccountingError], Exception],
    ) -> None:
        self.core = state.core
        self.reader = reader
        self.translate = translate
        self.policy = self.core.settings.on_leave.get(reader.provider, "estimate")
        # While the stream that the consumer left is read to its end.
        self.is_draining = False
        self._state = state
        self._sender = sender
        self._every = self.core.settings.progress
        self._reported_tokens = 0
        self._reported_at = time.monotonic()
        state.settlement_now = self._left

    def see(self, event: Any) -> bool:
        """Counts an event, and reports when it is time. Returns whether the consumer sees it."""
        is_shown = self.reader.read(event)
        tokens = self.reader.output_tokens
        new = tokens - self._reported_tokens
        now = time.monotonic()
        if new >= self._every.every_tokens or (new > 0 and now - self._reported_at >= self._every.every_seconds):
            self._reported_tokens = tokens
            self._reported_at = now
            self._state.report(tokens)
        return is_shown

    @property
    def is_stopped(self) -> bool:
        return self._state.stop_reason is not None

    async def stop(self) -> Exception:
        """Settles a stream that the service stopped. Returns the error that ends it."""
        reason = self._state.stop_reason
        assert reason is not None
        error = CreditsExhausted(reason.message, status=reason.status or 402, problem=reason.problem)
        settlement = self._left()
        error.usage = {name: value for name, value in settlement.body.items() if name != "success"}
        await self._settle(settlement)
        return self.translate(error)

    async def end(self) -> None:
        """The answer came to its end."""
        reader = self.reader
        is_success = (reader.has_ended or reader.is_complete) and not reader.has_failed
        await self._settle(self._settlement("estimated", success=is_success))

    async def fail(self) -> None:
        """The provider failed in mid-stream."""
        await self._settle(self._settlement("estimated", success=False))

    async def refused(self) -> None:
        """The provider gave no answer, and bills none."""
        await self._settle(Settlement.abort(0))

    def leave(self) -> None:
        """The consumer left. It may be called from a destructor."""
        if self._state.claim():
            self.core.settle_later(self._state, self._left)

    async def drained(self) -> None:
        """What there was to read was read after the consumer left."""
        await self._settle(self._settlement("drained" if self.reader.is_complete else "estimated"))

    async def _settle(self, settlement: Settlement) -> None:
        if not self._state.claim():
            return
        try:
            await self.core.settle(self._sender, self._state, settlement)
        except RequestRejected:
            # The consumer has its answer; on_error has the error.
            pass

    def _left(self) -> Settlement:
        return self._settlement("estimated")

    def _settlement(self, source: str, *, success: bool = True) -> Settlement:
        used: Usage
        if self.reader.is_complete:
            used = {**self.reader.reported(), "usageSource": "drained" if source == "drained" else "provider"}
        else:
            used = {**self.reader.estimated(), "usageSource": "estimated"}
        return Settlement.finalize(used, success=success)
