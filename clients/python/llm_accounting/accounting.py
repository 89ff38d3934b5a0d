"""`Accounting` and `AsyncAccounting`, and the sessions that they begin."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import httpx
from anyio.to_thread import run_sync as to_thread

from ._api import ServiceTier, Usage, UsageSource
from ._connection import Sender, run
from ._core import Core, SessionState, Settlement
from .errors import CreditsExhausted, SessionSettled
from .options import FailOpen, Identity, OnLeave, Progress, Settings, Token

A = TypeVar("A", bound="_Accounting")
S = TypeVar("S", bound="_Session")


class _Accounting:
    """What both have in common.

    base_url: of the service, such as `http://localhost:3001`.
    internal_api_key, api_key, token: how this program is authenticated. A trusted service has the internal key, and
        names the user by `user_id` or forwards the user's token, which may be a function that returns the current one.
    user_id, account_id: who calls, and who pays if not the user; tags: what the calls are for.
    timeout: seconds for each request to the service.
    min_output_tokens: a call for which the credits suffice for fewer is not made.
    max_output_tokens: declared for a call that names no maximum.
    progress: when running streams are reported.
    on_leave: by provider, `openai` or `anthropic`: `drain` reads on in a stream that the consumer left, for at most
        `drain_seconds`, to get its true usage; `estimate` (the default) settles what was seen.
    fail_open: lets calls through in an outage; by default they fail with AccountingUnavailable.
    on_error: is called with errors that no caller waits for; by default they are logged as warnings.
    """

    def __init__(
        self,
        base_url: str,
        *,
        internal_api_key: str | None = None,
        api_key: str | None = None,
        token: Token | None = None,
        user_id: str | None = None,
        account_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        min_output_tokens: int = 16,
        max_output_tokens: int = 4096,
        progress: Progress | None = None,
        on_leave: Mapping[str, OnLeave] | None = None,
        drain_seconds: float = 10.0,
        fail_open: FailOpen | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        if internal_api_key is not None and api_key is not None:
            raise ValueError("internal_api_key and api_key exclude each other")
        if internal_api_key is None and api_key is None and token is None:
            raise ValueError("internal_api_key, api_key or token is required")
        if fail_open and internal_api_key is None and api_key is None:
            raise ValueError("fail_open needs internal_api_key or api_key: a user's token is not written to a file")
        for provider, policy in (on_leave or {}).items():
            if provider not in ("openai", "anthropic") or policy not in ("drain", "estimate"):
                raise ValueError("on_leave is a dict such as {'openai': 'drain', 'anthropic': 'estimate'}")
        settings = Settings(
            base_url=base_url.rstrip("/"),
            internal_api_key=internal_api_key,
            api_key=api_key,
            timeout=timeout,
            min_output_tokens=min_output_tokens,
            max_output_tokens=max_output_tokens,
            progress=progress or Progress(),
            on_leave=dict(on_leave or {}),
            drain_seconds=drain_seconds,
            fail_open=fail_open,
            on_error=on_error,
        )
        self._core = Core(settings)
        self._identity = Identity(user_id, account_id, token, tags)
        self._connect()

    def _connect(self) -> None:
        raise NotImplementedError

    def for_(
        self: A,
        *,
        user_id: str | None = None,
        account_id: str | None = None,
        token: Token | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> A:
        """The same connection for another caller or payer.

        A `user_id` or `token` replaces the caller before, with the token, account and tags that were theirs. Otherwise,
        and where there was no caller before, what is left out stays as it is.
        """
        own = self._identity
        had_caller = own.user_id is not None or own.token is not None
        if had_caller and (user_id is not None or token is not None):
            own = Identity()
        identity = Identity(
            user_id if user_id is not None else own.user_id,
            account_id if account_id is not None else own.account_id,
            token if token is not None else own.token,
            {**(own.tags or {}), **(tags or {})} or None,
        )
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._identity = identity
        return other

    def drain_on_exit(self, seconds: float = 10.0, signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)) -> None:
        """Settles open sessions when the process is told to end. Call it in the main thread.

        Sessions that have not ended by themselves after three quarters of the time are settled with what was seen of
        them. Then the process ends, unless a handler that was there before, such as a web server's, takes care of that.
        """
        self._core.drain_on_exit(seconds, signals)


class _Session:
    """A call with its hold.

    session_id, model_id, input_tokens: as declared.
    max_output_tokens: what the call may generate: what was declared, or less if the credits suffice for less.
    is_held: False for a call that was let through in an outage.
    """

    def __init__(self, state: SessionState, sender: Sender) -> None:
        self._state = state
        self._sender = sender
        self.session_id = state.session_id
        self.model_id = state.model_id
        self.input_tokens = state.input_tokens
        self.max_output_tokens = state.max_output_tokens
        self.is_held = state.hold is not None
        self.estimate_source = state.hold["estimateSource"] if state.hold else None

    def report(self, tokens_generated: int) -> None:
        """Reports the output tokens generated since the start. Returns at once; see `stop_reason` for the answer."""
        if self._state.is_settled:
            raise SessionSettled(f"Session {self.session_id} is already settled")
        self._state.report(tokens_generated)

    @property
    def stop_reason(self) -> CreditsExhausted | None:
        """Why the stream should be stopped now, or None."""
        return self._state.stop_reason

    def raise_if_stopped(self) -> None:
        """Raises CreditsExhausted if the stream should be stopped now."""
        if self._state.stop_reason is not None:
            raise self._state.stop_reason

    async def _settle(self, settlement: Settlement) -> dict[str, Any] | None:
        if not self._state.claim():
            raise SessionSettled(f"Session {self.session_id} is already settled")
        return await self._state.core.settle(self._sender, self._state, settlement)


def _usage(
    provider: str | None,
    usage: Mapping[str, Any] | None,
    quantities: Mapping[str, int] | None,
    input_tokens: int | None,
    output_tokens: int | None,
    cached_input_tokens: int | None,
    service_tier: ServiceTier | None,
    usage_source: UsageSource | None,
) -> Usage:
    given = {
        "provider": provider,
        "usage": None if usage is None else dict(usage),
        "quantities": None if quantities is None else dict(quantities),
        "inputTokens": input_tokens,
        "outputTokens": output_tokens,
        "cachedInputTokens": cached_input_tokens,
        "serviceTier": service_tier,
        "usageSource": usage_source,
    }
    return {name: value for name, value in given.items() if value is not None}  # type: ignore[return-value]


class Session(_Session):
    def finalize(
        self,
        *,
        provider: str | None = None,
        usage: Mapping[str, Any] | None = None,
        quantities: Mapping[str, int] | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
        service_tier: ServiceTier | None = None,
        usage_source: UsageSource | None = None,
        success: bool = True,
    ) -> dict[str, Any] | None:
        """Settles the session with what the call used: the provider's own `usage`, or quantities, or token counts.

        Returns the service's answer, or None if it cannot be reached: the settlement is sent later.
        Raises SessionSettled, or RequestRejected.
        """
        used = _usage(
            provider,
            usage,
            quantities,
            input_tokens,
            output_tokens,
            cached_input_tokens,
            service_tier,
            usage_source,
        )
        return run(self._settle(Settlement.finalize(used, success=success)))

    def abort(self, tokens_generated: int | None = None) -> dict[str, Any] | None:
        """Ends the session; charges the tokens generated, by default those last reported. As `finalize` otherwise."""
        return run(self._settle(Settlement.abort(tokens_generated)))

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._state.is_settled:
            self.abort(self._state.tokens_generated)


class AsyncSession(_Session):
    async def finalize(
        self,
        *,
        provider: str | None = None,
        usage: Mapping[str, Any] | None = None,
        quantities: Mapping[str, int] | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
        service_tier: ServiceTier | None = None,
        usage_source: UsageSource | None = None,
        success: bool = True,
    ) -> dict[str, Any] | None:
        """See `Session.finalize`."""
        used = _usage(
            provider,
            usage,
            quantities,
            input_tokens,
            output_tokens,
            cached_input_tokens,
            service_tier,
            usage_source,
        )
        return await self._settle(Settlement.finalize(used, success=success))

    async def abort(self, tokens_generated: int | None = None) -> dict[str, Any] | None:
        """See `Session.abort`."""
        return await self._settle(Settlement.abort(tokens_generated))

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._state.is_settled:
            await self.abort(self._state.tokens_generated)


class Accounting(_Accounting):
    __doc__ = f"A connection to the accounting service, for threads.\n{_Accounting.__doc__}"

    def _connect(self) -> None:
        self._sender = self._core.sender

    def session(
        self,
        *,
        model_id: str,
        input_tokens: int,
        max_output_tokens: int | None = None,
        session_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Session:
        """Holds credits for a call. Leaving a `with` block of it without a settlement aborts it.

        Raises CreditsExhausted, LimitExceeded, RequestRejected, or AccountingUnavailable.
        """
        state = run(
            self._core.hold(
                self._sender,
                self.for_(tags=tags)._identity,
                model_id=model_id,
                input_tokens=input_tokens,
                max_output_tokens=max_output_tokens,
                session_id=session_id,
            )
        )
        return Session(state, self._sender)

    def drain(self, seconds: float = 10.0) -> None:
        """Waits until open sessions end, at most `seconds`, then settles the rest with what was seen of them."""
        self._core.drain(seconds)

    def close(self) -> None:
        """Waits a little for open sessions, as `drain` does, then closes the connection, also of what `for_` made."""
        self._core.close()

    def __enter__(self) -> Accounting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAccounting(_Accounting):
    __doc__ = f"A connection to the accounting service, for one event loop.\n{_Accounting.__doc__}"

    def _connect(self) -> None:
        self._http = httpx.AsyncClient(timeout=self._core.settings.timeout)
        self._sender = Sender(self._http, self._core.settings)

    async def session(
        self,
        *,
        model_id: str,
        input_tokens: int,
        max_output_tokens: int | None = None,
        session_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> AsyncSession:
        """See `Accounting.session`."""
        state = await self._core.hold(
            self._sender,
            self.for_(tags=tags)._identity,
            model_id=model_id,
            input_tokens=input_tokens,
            max_output_tokens=max_output_tokens,
            session_id=session_id,
        )
        return AsyncSession(state, self._sender)

    async def drain(self, seconds: float = 10.0) -> None:
        """See `Accounting.drain`."""
        await to_thread(self._core.drain, seconds)

    async def close(self) -> None:
        """See `Accounting.close`."""
        await to_thread(self._core.close)
        await self._http.aclose()

    async def __aenter__(self) -> AsyncAccounting:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
