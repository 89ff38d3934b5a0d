"""Metered copies of the clients of `openai` and `anthropic`.

All methods of these SDKs that make a model write, and their helpers, end in `client.post`. A metered copy is an
instance of a subclass that overrides it, so retries of the SDK happen within one hold, and whatever the SDK offers
stays there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

from ._call import Call
from ._connection import run
from ._readers import Reader
from ._streams import metered_stream
from .accounting import Accounting, AsyncAccounting
from .errors import (
    AccountingError,
    AccountingUnavailable,
    CreditsExhausted,
    LimitExceeded,
    MisuseError,
)

C = TypeVar("C")

RAW_RESPONSE = "X-Stainless-Raw-Response"


class Metering:
    """What a metered client knows: who pays, what is metered, and the errors that its users expect."""

    def __init__(
        self,
        accounting: Accounting | AsyncAccounting,
        readers: Mapping[str, Callable[[dict[str, Any]], Reader]],
        sdk: Any,
        errors: Mapping[type[AccountingError], Any],
    ) -> None:
        self.accounting = accounting
        self.readers = readers
        self.sdk = sdk
        self.errors = errors

    async def begin(self, client: Any, path: str, arguments: dict[str, Any]) -> Call | None:
        """Holds credits for a call, and clamps its maximum in the arguments; None for a call that is not metered."""
        path = path.split("?", maxsplit=1)[0]
        options = arguments.get("options") or {}
        if path not in self.readers:
            return None
        if (options.get("headers") or {}).get(RAW_RESPONSE) == "stream":
            raise MisuseError("with_streaming_response is not metered: use with_raw_response")
        reader = self.readers[path]({**(arguments.get("body") or {}), **(options.get("extra_json") or {})})
        wanted = reader.max_output_tokens
        accounting = self.accounting
        settings = accounting._core.settings
        wanted = settings.max_output_tokens if wanted is None else wanted
        translate = functools.partial(self._translate, client)
        try:
            state = await accounting._core.hold(
                accounting._sender,
                accounting._identity,
                model_id=reader.model_id,
                input_tokens=reader.input_tokens,
                max_output_tokens=wanted * reader.choices,
                minimum=max(settings.min_output_tokens, reader.min_output_tokens) * reader.choices,
            )
        except (CreditsExhausted, LimitExceeded, AccountingUnavailable) as error:
            raise translate(error) from error
        affordable = state.max_output_tokens // reader.choices
        if affordable < wanted or reader.max_output_tokens is not None:
            reader.bound = affordable * reader.choices
        arguments["body"] = reader.clamp(affordable) if affordable < wanted else reader.body
        arguments["options"] = {name: value for name, value in options.items() if name != "extra_json"}
        return Call(state, accounting._sender, reader, translate)

    def is_time_out(self, error: BaseException) -> bool:
        """Whether the provider may have written, and billed, an answer that did not arrive."""
        reached = type(error.__cause__).__name__ not in ("ConnectTimeout", "PoolTimeout")
        return isinstance(error, self.sdk.APITimeoutError) and reached

    def _translate(self, client: Any, error: AccountingError) -> Exception:
        kind = self.errors.get(type(error))
        if kind is None:
            return error
        # The SDK's own HTTP library, httpx or httpx2.
        http = import_module(type(client.base_url).__module__.split(".")[0])
        request = http.Request("POST", client.base_url)
        retry_after = getattr(error, "retry_after", None)
        response = http.Response(
            error.status or 503,
            headers={} if retry_after is None else {"Retry-After": str(int(retry_after))},
            json=error.problem,
            request=request,
        )
        return kind(error, response)  # type: ignore[no-any-return]


def sdk_error(base: Any) -> Any:
    """The initialiser of an error that is one of ours and of an SDK."""

    def initialise(self: Any, error: AccountingError, response: Any) -> None:
        base.__init__(self, error.message, response=response, body=error.problem)
        self.__dict__.update(error.__dict__)

    return initialise


@functools.cache
def _class_of(client: Any) -> Any:
    """The metered subclass of a synchronous client's class.

    It has no attributes of its own, so that an instance of the class can become one of these.
    """

    class Metered(client):  # type: ignore[misc]
        __slots__ = ()

        def copy(self, **changes: Any) -> Any:
            other = super().copy(**changes)
            other._metering = self._metering
            return other

        with_options = copy

        def post(self, path: str, **arguments: Any) -> Any:
            call = run(self._metering.begin(self, path, arguments))
            if call is None:
                return super().post(path, **arguments)
            try:
                result = super().post(path, **arguments)
            except Exception as error:
                run(call.fail() if self._metering.is_time_out(error) else call.refused())
                raise
            except BaseException:
                call.leave()
                raise
            is_raw = hasattr(result, "parse")
            answer = result.parse() if is_raw else result
            if not hasattr(answer, "__next__"):
                call.reader.read_whole(answer)
                run(call.end())
                return result
            stream = metered_stream(answer, call)
            if is_raw:
                result.parse = lambda **_: stream
            return result if is_raw else stream

    return _named_after(Metered, client)


@functools.cache
def _async_class_of(client: Any) -> Any:
    """The same for an asynchronous client."""

    class Metered(client):  # type: ignore[misc]
        __slots__ = ()

        def copy(self, **changes: Any) -> Any:
            other = super().copy(**changes)
            other._metering = self._metering
            return other

        with_options = copy

        async def post(self, path: str, **arguments: Any) -> Any:
            call = await self._metering.begin(self, path, arguments)
            if call is None:
                return await super().post(path, **arguments)
            try:
                result = await super().post(path, **arguments)
            except Exception as error:
                await (call.fail() if self._metering.is_time_out(error) else call.refused())
                raise
            except BaseException:
                call.leave()
                raise
            is_raw = hasattr(result, "parse")
            answer = result.parse() if is_raw else result
            is_later = inspect.isawaitable(answer)
            if is_later:
                answer = await answer
            if not hasattr(answer, "__anext__"):
                call.reader.read_whole(answer)
                await call.end()
                return result
            stream = metered_stream(answer, call)

            async def parse(**_: Any) -> Any:
                return stream

            if is_raw:
                result.parse = parse if is_later else lambda **_: stream
            return result if is_raw else stream

    return _named_after(Metered, client)


def _named_after(metered: type, client: type) -> type:
    metered.__name__ = metered.__qualname__ = f"Metered{client.__name__}"
    return metered


def metered_copy(client: C, metering: Metering, sync_clients: tuple[type, ...], async_clients: tuple[type, ...]) -> C:
    if hasattr(client, "_metering"):
        raise MisuseError("This client is metered already: every call would be charged twice")
    is_async = isinstance(client, async_clients)
    if not is_async and not isinstance(client, sync_clients):
        raise TypeError(f"metered takes a client of {metering.sdk.__name__}, not {type(client).__name__}")
    if is_async != isinstance(metering.accounting, AsyncAccounting):
        raise TypeError("Use AsyncAccounting for an asynchronous client, and Accounting for a synchronous one")
    other: Any = client.copy()  # type: ignore[attr-defined]
    own_class: Any = type(client)
    other.__class__ = (_async_class_of if is_async else _class_of)(own_class)
    other._metering = metering
    return other  # type: ignore[no-any-return]
