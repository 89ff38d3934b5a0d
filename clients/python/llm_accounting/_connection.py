"""Requests to the accounting service.

What the client does is written once, as coroutines. In the synchronous client the HTTP request below blocks instead of
waiting, so the coroutine never suspends, and `run` takes its result at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

import httpx

from .errors import AccountingUnavailable
from .options import Identity, Settings

T = TypeVar("T")

# What the service, or a proxy before it, answers when it is not able to work: not a word about this request.
UNAVAILABLE = {408, 500, 502, 503, 504}


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that does not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine of the synchronous client has suspended")


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]
    retry_after: float | None
    # Whether the request was sent twice because the first connection broke.
    repeated: bool

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def message(self) -> str:
        return str(self.body.get("detail") or f"The accounting service answered {self.status}")


class Sender:
    """Sends requests with one of httpx' clients."""

    def __init__(self, client: httpx.Client | httpx.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    async def post(self, identity: Identity, path: str, body: dict[str, Any]) -> Answer:
        """Raises AccountingUnavailable on an outage; every other answer is returned.

        All requests are idempotent, so one whose connection broke is sent once more: an idle connection may have been
        closed by the server at the same moment.
        """
        url = f"{self._settings.base_url}/api{path}"
        body = {name: value for name, value in body.items() if value is not None}
        repeated = False
        if self._client.is_closed:
            raise AccountingUnavailable("This accounting was closed")
        while True:
            try:
                response = self._client.post(url, json=body, headers=self._headers(identity))
                if inspect.isawaitable(response):
                    response = await response
                break
            except httpx.TransportError as error:
                if repeated or isinstance(error, httpx.TimeoutException):
                    reason = str(error) or type(error).__name__
                    message = f"The accounting service cannot be reached: {reason}"
                    raise AccountingUnavailable(message) from error
                repeated = True
        answer = Answer(response.status_code, _json(response), _retry_after(response), repeated)
        if answer.status in UNAVAILABLE:
            raise AccountingUnavailable(answer.message, status=answer.status, problem=answer.body)
        return answer

    def _headers(self, identity: Identity) -> dict[str, str]:
        headers = {}
        if self._settings.internal_api_key is not None:
            headers["X-Internal-API-Key"] = self._settings.internal_api_key
        if self._settings.api_key is not None:
            headers["X-API-Key"] = self._settings.api_key
        token = identity.token() if callable(identity.token) else identity.token
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return headers


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
