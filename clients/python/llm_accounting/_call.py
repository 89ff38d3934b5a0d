"""One metered call of a provider, from its hold to its one settlement."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from ._api import Usage
from ._connection import Sender
from ._core import SessionState, Settlement
from ._readers import Reader
from .errors import AccountingError, CreditsExhausted, RequestRejected

# The model has finished and only its usage is missing: that is worth a short wait, whatever the policy.
ENDED_DRAIN_SECONDS = 2.0


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
        state.settlement_now = self._left

    def see(self, event: Any) -> bool:
        """Counts an event. Returns whether the consumer sees it."""
        is_shown = self.reader.read(event)
        self._state.report(self.reader.output_tokens)
        return is_shown

    @property
    def drain_seconds(self) -> float:
        """For how long to read on after the consumer has left."""
        if self.reader.is_complete:
            return 0
        if self.policy == "drain":
            return self.core.settings.drain_seconds
        return ENDED_DRAIN_SECONDS if self.reader.has_ended else 0

    def on_stall(self, break_off: Callable[[], None]) -> None:
        """Sets what breaks off an answer that has been stopped and stalls."""
        self._state.break_off = break_off

    @property
    def is_at_limit(self) -> bool:
        """Whether to `ask` before the next event: as far as is known, it is not paid for."""
        return self._state.is_at_limit(self.reader.bound)

    async def ask(self) -> None:
        await self._state.ask(self._sender)

    @property
    def is_stopped(self) -> bool:
        return self._state.stop_reason is not None

    async def stop(self) -> Exception:
        """Settles a stream that the service stopped. Returns the error that ends it."""
        reason = self._state.stop_reason
        assert reason is not None
        error = CreditsExhausted(reason.message, status=reason.status or 402, problem=reason.problem)
        settlement = self._settlement("estimated", success=False)
        error.generated_tokens = self.reader.output_tokens
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
        # A rejection does not concern the consumer, who has the answer; on_error has it.
        with contextlib.suppress(RequestRejected):
            try:
                await self.core.settle(self._sender, self._state, settlement)
            except RequestRejected as error:
                if error.status != 400 or not self.reader.is_complete:
                    raise
                # Servers that imitate a provider may report a usage that is none of its own.
                estimated: Usage = {**self.reader.estimated(), "usageSource": "estimated"}
                await self.core.settle(self._sender, self._state, Settlement.finalize(estimated))

    def _left(self) -> Settlement:
        return self._settlement("estimated")

    def _settlement(self, source: str, *, success: bool = True) -> Settlement:
        used: Usage
        if self.reader.is_complete:
            self.reader.learn()
            used = {**self.reader.reported(), "usageSource": "drained" if source == "drained" else "provider"}
        else:
            used = {**self.reader.estimated(), "usageSource": "estimated"}
        return Settlement.finalize(used, success=success)
