"""Holds, progress and settlements: everything that the synchronous and the asynchronous client have in common."""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import signal
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from types import FrameType
from typing import Any

import httpx
from anyio.to_thread import run_sync as to_thread

from ._api import InitializeSession, SessionStarted, Usage
from ._api import Progress as ProgressBody
from ._connection import Answer, Sender, run
from ._outbox import Entry, Outbox
from ._worker import Worker
from .errors import (
    AccountingError,
    AccountingUnavailable,
    CreditsExhausted,
    LimitExceeded,
    RequestRejected,
)
from .options import Identity, Settings

# After a failure, for so long, settlements go to the outbox at once, and calls that may fail open do not ask for a
# hold. Otherwise each of them would wait for a time-out of its own.
OUTAGE_SECONDS = 1.0
# Models whose price of a token is remembered.
MAXIMUM_PRICES = 1000
# Streams that were left and are still read, in one process.
MAXIMUM_DRAINS = 64
EXIT_SECONDS = 5.0
# How often the clock looks at open sessions, and how long a stopped stream may be silent before it is broken off.
TICK_SECONDS = 0.5
STALL_SECONDS = 1.0
# Holds that are tried for one call, each for what the one before said to be affordable.
MAXIMUM_HOLDS = 3
# Tokens: as many as the service ever names.
ALWAYS_AFFORDABLE = 1_000_000_000

log = logging.getLogger("llm_accounting")


class Settlement:
    """How a session ends: finalize with usage, or abort with the tokens generated."""

    def __init__(self, operation: str, body: dict[str, Any]) -> None:
        self.operation = operation
        self.body = body

    @staticmethod
    def finalize(usage: Usage, *, success: bool = True) -> Settlement:
        return Settlement("finalize", {**usage, "success": success})

    @staticmethod
    def abort(tokens_generated: int | None) -> Settlement:
        return Settlement("abort", {"tokensGenerated": tokens_generated})


class SessionState:
    """One session, as threads and coroutines share it."""

    def __init__(
        self,
        core: Core,
        identity: Identity,
        session_id: str,
        model_id: str,
        input_tokens: int,
        max_output_tokens: int,
        hold: SessionStarted | None,
    ) -> None:
        self.core = core
        self.identity = identity
        self.session_id = session_id
        self.model_id = model_id
        self.input_tokens = input_tokens
        self.max_output_tokens = max_output_tokens
        # None: the call was let through without one.
        self.hold = hold
        self.tokens_generated = 0
        self.stop_reason: CreditsExhausted | None = None
        # How it would be settled now, if its process ended.
        self.settlement_now: Callable[[], Settlement] = lambda: Settlement.abort(self.tokens_generated)
        # Breaks off a provider's answer that stalls.
        self.break_off: Callable[[], None] = lambda: None
        self.seen_at = time.monotonic()
        self._reported = 0
        self._reported_at = self.seen_at
        self._is_reporting = False
        # Output tokens that the latest answer said to be paid for.
        self._affordable = ALWAYS_AFFORDABLE
        # Acquired once and never released: the caller that acquires it settles the session.
        self._claim = threading.Lock()

    def begin(self, hold: SessionStarted) -> None:
        self.hold = hold
        self._affordable = hold["maxAffordableTokens"]

    @property
    def key(self) -> str:
        """Identifies the session among those of other users with the same id."""
        owner = self.hold["userId"] if self.hold else self.identity.user_id
        return f"{owner} {self.identity.account_id} {self.session_id}"

    def claim(self) -> bool:
        """Whether the caller is the one that settles the session."""
        return self._claim.acquire(blocking=False)

    @property
    def is_settled(self) -> bool:
        return self._claim.locked()

    def report(self, tokens_generated: int) -> None:
        """Returns at once. One request is under way at a time, and the newest count is sent next."""
        self.seen_at = time.monotonic()
        self.tokens_generated = max(self.tokens_generated, tokens_generated)
        if self.tokens_generated - self._reported >= self._due_after():
            self._submit()

    def _due_after(self) -> int:
        """The new tokens after which a report is due: fewer and fewer where the credits come to their end.

        The first is reported at once: a process that is killed after it has paid for its prompt.
        """
        every = self.core.settings.progress.every_tokens if self._reported else 1
        return min(every, max((self._affordable - self._reported) // 2, 1))

    def is_at_limit(self, bound: int | None) -> bool:
        """Whether the next token is not paid for, as far as is known. A provider that was given a bound ends itself."""
        return self.tokens_generated >= self._affordable and (bound is None or bound > self._affordable)

    async def ask(self, sender: Sender) -> None:
        """Reports, and waits for the answer whether to go on."""
        try:
            await self._send_report(sender, self.tokens_generated)
        except AccountingError as error:
            # An outage does not stop a stream.
            self._affordable = ALWAYS_AFFORDABLE
            self.core.on_error(error)

    def tick(self, now: float, renew_seconds: float) -> None:
        """Reports what is due by the clock, and keeps the lease alive while the provider is silent."""
        since = now - self._reported_at
        is_new = self.tokens_generated > self._reported
        if since >= (self.core.settings.progress.every_seconds if is_new else renew_seconds):
            self._submit()
        if self.stop_reason is not None and now - self.seen_at >= STALL_SECONDS:
            self.break_off()

    def _submit(self) -> None:
        if not self._is_reporting:
            self._is_reporting = True
            self.core.worker.submit(self._send_reports)

    def _send_reports(self) -> None:
        try:
            while not (self.is_settled or self.stop_reason or (self.hold and self.core.is_outage)):
                self._reported, self._reported_at = self.tokens_generated, time.monotonic()
                if self.hold is None:
                    self.core.outbox.progress(self.key, self._reported)
                else:
                    run(self._send_report(self.core.sender, self._reported))
                if self.tokens_generated - self._reported < self._due_after():
                    break
        except AccountingUnavailable as error:
            # The stream goes on with what it holds; the next report, or the settlement, comes soon.
            log.debug("progress of %s was not reported: %s", self.session_id, error)
        except Exception as error:
            if not self.is_settled:
                self.core.on_error(error)
        finally:
            self._is_reporting = False

    async def _send_report(self, sender: Sender, tokens_generated: int) -> None:
        body: ProgressBody = {"sessionId": self.session_id, "tokensGenerated": tokens_generated}
        answer = await self.core.post(sender, self.identity, "/streaming-sessions/progress", body)
        if self.is_settled:
            return
        if not answer.ok:
            raise error_of(answer)
        self._affordable = answer.body["maxAffordableTokens"]
        if answer.body["shouldStop"]:
            code = answer.body["reason"]
            message = f"The stream was stopped: {code}"
            self.stop_reason = CreditsExhausted(
                message,
                status=429 if code == "limit.exceeded" else 402,
                problem={**answer.body, "code": code, "detail": message},
            )


class Core:
    """What an `Accounting` and all that were made of it by `for_` share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.worker = Worker()
        self.http = httpx.Client(timeout=settings.timeout)
        self.sender = Sender(self.http, settings)
        self.open: set[SessionState] = set()
        self.drains = threading.BoundedSemaphore(MAXIMUM_DRAINS)
        self._credits_per_token: dict[str, float] = {}
        self._outage_ends = 0.0
        # The shortest lease seen; a third of it may pass without a report.
        self._renew_seconds = math.inf
        self._clock_of_process = 0
        spool = settings.fail_open.spool if settings.fail_open else None
        self.outbox = Outbox(spool, lambda entry: run(self._deliver(self.sender, entry)), self.on_error)
        _cores.add(self)

    def on_error(self, error: Exception) -> None:
        """Reports an error that no caller waits for."""
        if self.settings.on_error is None:
            log.warning("%s", error)
            return
        try:
            self.settings.on_error(error)
        except Exception:
            log.exception("on_error failed")

    async def hold(
        self,
        sender: Sender,
        identity: Identity,
        *,
        model_id: str,
        input_tokens: int,
        max_output_tokens: int | None,
        session_id: str | None = None,
        minimum: int | None = None,
    ) -> SessionState:
        """Holds credits for a call.

        minimum: the output tokens below which the call is not worth making; by default `min_output_tokens`.

        Raises CreditsExhausted, LimitExceeded, RequestRejected, or AccountingUnavailable.
        """
        self.worker.start()
        wanted = self.settings.max_output_tokens if max_output_tokens is None else max_output_tokens
        least = min(wanted, self.settings.min_output_tokens if minimum is None else minimum)
        session_id = session_id or str(uuid.uuid4())
        state = SessionState(self, identity, session_id, model_id, input_tokens, wanted, None)
        try:
            await self._initialize(sender, state, least)
        except AccountingUnavailable as error:
            try:
                self._let_through(state, error)
            except AccountingUnavailable:
                if isinstance(error.__cause__, httpx.TimeoutException):
                    self._give_back(state)
                raise
        except AccountingError:
            raise
        except BaseException:
            # A cancelled task, or Ctrl-C.
            self._give_back(state)
            raise
        self.open.add(state)
        self._start_clock()
        return state

    def _start_clock(self) -> None:
        if self._clock_of_process != os.getpid():
            self._clock_of_process = os.getpid()
            threading.Thread(target=_tick, args=(weakref.ref(self),), daemon=True, name="llm_accounting clock").start()

    def tick(self) -> None:
        now = time.monotonic()
        for state in list(self.open):
            if not state.is_settled:
                state.tick(now, self._renew_seconds)

    def _give_back(self, state: SessionState) -> None:
        """Ends a session that the service may have started without our knowing."""
        entry = _entry_of(state)
        entry.settlement = Settlement.abort(0).body
        self._keep(entry)
        self.outbox.wait_for_service(entry)

    def _keep(self, entry: Entry) -> None:
        try:
            self.outbox.add(entry)
        except OSError as error:
            # A full disk is no reason not to settle.
            self.on_error(error)

    async def _initialize(self, sender: Sender, state: SessionState, least: int) -> None:
        """The hold, for as many output tokens as can be paid for; `state.max_output_tokens` says how many."""
        if self.settings.fail_open and self.is_outage:
            raise AccountingUnavailable("The accounting service could not be reached a moment ago")
        for _ in range(MAXIMUM_HOLDS):
            answer = await self._post_hold(sender, state)
            affordable = answer.body.get("maxAffordableTokens")
            if answer.status != 402 or affordable is None or not least <= affordable < state.max_output_tokens:
                break
            # The last credits can be spent too.
            state.max_output_tokens = affordable
        if not answer.ok:
            raise error_of(answer)
        if answer.status == 200 and not answer.repeated:
            message = f"The session id {state.session_id} was used before"
            raise RequestRejected(message, status=409, problem={"code": "session.conflict", "detail": message})
        hold: SessionStarted = answer.body  # type: ignore[assignment]
        self._renew_seconds = min(self._renew_seconds, _lease_seconds(hold) / 3)
        tokens = max(state.input_tokens + state.max_output_tokens, 1)
        if len(self._credits_per_token) < MAXIMUM_PRICES or state.model_id in self._credits_per_token:
            self._credits_per_token[state.model_id] = hold["allocatedCredits"] / tokens
        state.begin(hold)
        if self.settings.internal_api_key is not None:
            # A trusted service settles in the user's name: the token may have expired when the stream ends.
            state.identity = replace(state.identity, user_id=hold["userId"], token=None)
        state.max_output_tokens = min(state.max_output_tokens, hold["maxAffordableTokens"])
        if state.max_output_tokens < least:
            state.claim()
            await self.settle(sender, state, Settlement.abort(0))
            message = f"The credits suffice for {state.max_output_tokens} more tokens"
            problem = {"code": "credits.insufficient", "detail": message}
            raise CreditsExhausted(
                message, problem={**problem, "maxAffordableTokens": state.max_output_tokens, "limits": []}
            )

    async def _post_hold(self, sender: Sender, state: SessionState) -> Answer:
        body: InitializeSession = {
            "sessionId": state.session_id,
            "modelId": state.model_id,
            "inputTokens": state.input_tokens,
            "maxOutputTokens": state.max_output_tokens,
        }
        if state.identity.tags:
            body["tags"] = dict(state.identity.tags)
        return await self.post(sender, state.identity, "/streaming-sessions/initialize", body)

    async def post(self, sender: Sender, identity: Identity, path: str, body: Any) -> Answer:
        """A request in the name of the caller and payer. A token that is forwarded names the caller itself."""
        try:
            named = {"userId": identity.user_id, "accountId": identity.account_id, **body}
            return await sender.post(identity, path, named)
        except AccountingUnavailable:
            self._outage_ends = time.monotonic() + OUTAGE_SECONDS
            raise

    def _let_through(self, state: SessionState, error: AccountingUnavailable) -> None:
        """Lets a call through without a hold, or raises the error."""
        fail_open = self.settings.fail_open
        if fail_open is None:
            raise error
        if self.settings.api_key is None and state.identity.user_id is None:
            message = f"{error.message}; a call without a user_id cannot be let through: who pays is in its token only"
            raise AccountingUnavailable(message) from error
        tokens = state.input_tokens + state.max_output_tokens
        per_token = self._credits_per_token.get(state.model_id)
        credits = fail_open.credits_per_call if per_token is None else max(math.ceil(per_token * tokens), 1)
        entry = _entry_of(state)
        entry.assumed_credits = credits
        try:
            is_let_through = self.outbox.begin(entry, fail_open.max_credits)
        except OSError as failure:
            raise AccountingUnavailable(f"{error.message}; the spool cannot be written: {failure}") from failure
        if not is_let_through:
            message = f"{error.message}; the calls that were let through have reached max_credits"
            raise AccountingUnavailable(message) from error
        self.on_error(error)

    async def settle(self, sender: Sender, state: SessionState, settlement: Settlement) -> dict[str, Any] | None:
        """Settles a session that the caller has claimed.

        Returns the service's answer, or None if it cannot be reached now: the settlement is sent later.
        Raises RequestRejected if the service rejects it for good.
        """
        entry = _entry_of(state)
        entry.operation = settlement.operation
        entry.settlement = settlement.body
        try:
            if self.outbox.is_on_disk and sender is not self.sender:
                # The disk must not hold up the event loop.
                await to_thread(self._keep, entry)
            else:
                self._keep(entry)
            if self.is_outage:
                raise AccountingUnavailable("The accounting service could not be reached a moment ago")
            return await self._deliver(sender, entry)
        except AccountingUnavailable as error:
            self.on_error(error)
            self.outbox.wait_for_service(entry)
            return None
        except RequestRejected:
            raise
        except BaseException:
            # A cancelled task, or Ctrl-C: the outbox sends it.
            self.outbox.wait_for_service(entry)
            raise
        finally:
            self.open.discard(state)

    def settle_later(self, state: SessionState, settlement: Callable[[], Settlement]) -> None:
        """The same in the background. It may be called from a destructor."""
        self.worker.submit(lambda: self.settle_quietly(state, settlement()))

    def settle_quietly(self, state: SessionState, settlement: Settlement) -> None:
        # on_error has what goes wrong.
        with contextlib.suppress(AccountingError):
            run(self.settle(self.sender, state, settlement))

    async def _deliver(self, sender: Sender, entry: Entry) -> dict[str, Any]:
        body: dict[str, Any] = {"sessionId": entry.session_id, **(entry.settlement or {})}
        answer = await self._post_settlement(sender, entry, f"/streaming-sessions/{entry.operation}", body)
        if answer.status == 404 and answer.body.get("code") == "session.not_found":
            charge = _charge_of(entry)
            if charge is None:
                self.outbox.done(entry)
                return {}
            answer = await self._post_settlement(sender, entry, "/usage/charge", charge)
        if answer.ok:
            self.outbox.done(entry)
            return answer.body
        self.outbox.reject(entry, answer.body)
        error = RequestRejected(
            f"The settlement of session {entry.session_id} was rejected: {answer.message}",
            status=answer.status,
            problem=answer.body,
        )
        self.on_error(error)
        raise error

    async def _post_settlement(self, sender: Sender, entry: Entry, path: str, body: dict[str, Any]) -> Answer:
        answer = await self.post(sender, entry.identity, path, body)
        if answer.status == 429:
            raise AccountingUnavailable(answer.message, status=429, problem=answer.body)
        return answer

    @property
    def is_outage(self) -> bool:
        return time.monotonic() < self._outage_ends

    def drain(self, seconds: float) -> None:
        """Waits until open sessions end, then settles the rest with what was seen of them. It blocks."""
        deadline = time.monotonic() + seconds
        # A part of the time is kept for the settlements themselves.
        while self.open and time.monotonic() < deadline - seconds / 4:
            time.sleep(0.01)
        self.settle_open()
        self.worker.wait(deadline)
        # Those that others have begun to settle.
        while self.open and time.monotonic() < deadline:
            time.sleep(0.01)
        self.outbox.replay_now(deadline)

    def settle_open(self) -> None:
        for state in list(self.open):
            if state.claim():
                self.settle_quietly(state, state.settlement_now())

    def drain_on_exit(self, seconds: float, signals: tuple[signal.Signals, ...]) -> None:
        for number in signals:
            previous = signal.getsignal(number) or signal.SIG_DFL

            def handle(number: int, frame: FrameType | None, previous: Any = previous) -> None:
                # Blocking here could wait for a lock that the interrupted code holds.
                signal.signal(number, previous)
                drain = threading.Thread(target=self._drain_and_end, args=(seconds, number, previous))
                drain.start()
                if callable(previous):
                    # A server's own graceful stop goes on meanwhile.
                    previous(number, frame)

            signal.signal(number, handle)

    def _drain_and_end(self, seconds: float, number: int, previous: Any) -> None:
        self.drain(seconds)
        if not callable(previous):
            os.kill(os.getpid(), number)

    def close(self) -> None:
        self.drain(EXIT_SECONDS)
        self.outbox.close()
        self.http.close()
        _cores.discard(self)


_cores: weakref.WeakSet[Core] = weakref.WeakSet()


@atexit.register
def _settle_at_exit() -> None:
    for core in list(_cores):
        deadline = time.monotonic() + EXIT_SECONDS
        core.worker.wait(deadline)
        # No stream can end by itself any more.
        core.settle_open()
        core.outbox.replay_now(deadline)


def _tick(watched: weakref.ref[Core]) -> None:
    while True:
        time.sleep(TICK_SECONDS)
        core = watched()
        if core is None:
            return
        core.tick()
        del core


def _lease_seconds(hold: SessionStarted) -> float:
    started, expires = (
        datetime.fromisoformat(hold[name].replace("Z", "+00:00")) for name in ("startedAt", "expiresAt")
    )
    return (expires - started).total_seconds()


def error_of(answer: Answer) -> AccountingError:
    """The error of an answer that is not a success."""
    if answer.status == 402:
        return CreditsExhausted(answer.message, problem=answer.body)
    if answer.status == 429:
        return LimitExceeded(answer.message, problem=answer.body, retry_after=answer.retry_after)
    return RequestRejected(answer.message, status=answer.status, problem=answer.body)


def _entry_of(state: SessionState) -> Entry:
    return Entry(
        session_id=state.session_id,
        model_id=state.model_id,
        input_tokens=state.input_tokens,
        identity=state.identity,
        key=state.key,
        tokens_generated=state.tokens_generated,
    )


def _charge_of(entry: Entry) -> dict[str, Any] | None:
    """A settlement as a charge without a session; None if nothing was used."""
    used = dict(entry.settlement or {})
    if entry.operation == "abort":
        generated = used.get("tokensGenerated") or 0
        if generated == 0:
            return None
        used = {"inputTokens": entry.input_tokens, "outputTokens": generated, "usageSource": "estimated"}
    used.pop("success", None)
    # A finished call is never refused.
    charge = {**used, "requestId": entry.session_id, "modelId": entry.model_id, "onInsufficient": "review"}
    if entry.identity.tags:
        charge["tags"] = dict(entry.identity.tags)
    return charge
