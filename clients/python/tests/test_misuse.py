"""Bad use: a clear error, before the provider is called."""

from __future__ import annotations

import http.server
import threading
from typing import Any

import anthropic
import openai
import pytest

import llm_accounting.anthropic
import llm_accounting.openai
from llm_accounting import Accounting, AsyncAccounting, MisuseError, RequestRejected

from .entries import PLAIN, Entry, Reading
from .support import OPENAI_MODEL, Provider, Service, fake, new_id

each_plain_entry = pytest.mark.parametrize("entry", PLAIN, ids=str)
CALL: dict[str, Any] = {"model": OPENAI_MODEL, "messages": [{"role": "user", "content": "what is new"}]}


@pytest.fixture
def client(provider: Provider, accounting: Accounting) -> openai.OpenAI:
    return llm_accounting.openai.metered(
        openai.OpenAI(base_url=f"{provider.url}/v1", api_key="test", max_retries=0), accounting=accounting
    )


@each_plain_entry
async def test_a_client_is_metered_once(
    entry: Entry, provider: Provider, accounting: Accounting, async_accounting: AsyncAccounting
) -> None:
    own = async_accounting if entry.is_async else accounting
    module: Any = llm_accounting.openai if entry.sdk == "openai" else llm_accounting.anthropic
    with pytest.raises(MisuseError, match="metered already"):
        module.metered(entry.metered(provider, own), accounting=own)


@each_plain_entry
async def test_client_and_accounting_are_of_one_kind(
    entry: Entry, provider: Provider, accounting: Accounting, async_accounting: AsyncAccounting
) -> None:
    with pytest.raises(TypeError, match="AsyncAccounting"):
        entry.metered(provider, accounting if entry.is_async else async_accounting)
    with pytest.raises(TypeError, match="client of openai"):
        llm_accounting.openai.metered(anthropic.Anthropic(api_key="x"), accounting=accounting)  # type: ignore[type-var]


def test_the_original_client_stays_unmetered(
    provider: Provider, accounting: Accounting, service: Service, user: str
) -> None:
    original = openai.OpenAI(base_url=f"{provider.url}/v1", api_key="test")
    copy = llm_accounting.openai.metered(original, accounting=accounting)
    assert isinstance(copy, openai.OpenAI)
    original.chat.completions.create(**CALL)
    assert service.records(user) == []
    copy.chat.completions.create(**CALL)
    assert len(service.settled(user)) == 1


@each_plain_entry
async def test_copies_of_a_metered_client_are_metered(
    entry: Entry,
    provider: Provider,
    accounting: Accounting,
    async_accounting: AsyncAccounting,
    service: Service,
    user: str,
) -> None:
    client = entry.metered(provider, async_accounting if entry.is_async else accounting)
    await Reading(entry, client.with_options(timeout=7), tokens=3).to("end")
    await Reading(entry, client.copy(max_retries=1), tokens=3).to("end")
    assert len(service.settled(user, 2)) == 2


def test_each_request_may_have_its_own_payer(
    client: Any, provider: Provider, accounting: Accounting, service: Service
) -> None:
    original = openai.OpenAI(base_url=f"{provider.url}/v1", api_key="test")
    users = [service.user() for _ in range(3)]
    for user in users:
        metered = llm_accounting.openai.metered(original, accounting=accounting.for_(user_id=user))
        metered.chat.completions.create(**CALL)
    for user in users:
        assert service.record(user)["userId"] == user


@each_plain_entry
async def test_raw_responses_are_metered(
    entry: Entry,
    provider: Provider,
    accounting: Accounting,
    async_accounting: AsyncAccounting,
    service: Service,
    user: str,
) -> None:
    client = entry.metered(provider, async_accounting if entry.is_async else accounting)

    class Raw:
        """The same resources, each with its `with_raw_response`."""

        chat = (
            type("chat", (), {"completions": client.chat.completions.with_raw_response})
            if entry.sdk == "openai"
            else None
        )
        responses = client.responses.with_raw_response if entry.sdk == "openai" else None
        messages = client.messages.with_raw_response if entry.sdk == "anthropic" else None

    opened = entry.open(Raw, 100, {"tokens": 5}, stream=False)
    raw = await opened if entry.is_async else opened
    assert raw.headers["content-type"].startswith("application/json")
    opened = entry.open(Raw, 100, {"tokens": 5})
    raw = await opened if entry.is_async else opened
    stream = raw.parse()
    if entry.is_async:
        stream = await stream if not hasattr(stream, "__anext__") else stream
        assert [event async for event in stream]
    else:
        assert list(stream)
    assert {record["usageSource"] for record in service.settled(user, 2)} == {"provider"}


def test_a_body_that_the_sdk_does_not_read_cannot_be_metered(client: Any, provider: Provider) -> None:
    call = new_id()
    with pytest.raises(MisuseError, match="with_raw_response"):
        with client.chat.completions.with_streaming_response.create(**CALL, **fake(id=call)):
            pass
    with pytest.raises(MisuseError, match="background"):
        client.responses.create(model=OPENAI_MODEL, input="what", background=True, **fake(id=call))
    assert provider.billed(call) is None


def test_extra_body_is_clamped_too(provider: Provider, accounting: Accounting, service: Service) -> None:
    user = service.user(60)
    client = llm_accounting.openai.metered(
        openai.OpenAI(base_url=f"{provider.url}/v1", api_key="test"), accounting=accounting.for_(user_id=user)
    )
    call = new_id()
    arguments: dict[str, Any] = {**CALL, "extra_body": {"max_tokens": 5000}, **fake(id=call, tokens=100)}
    client.chat.completions.create(**arguments)
    billed = provider.billed(call)
    assert billed is not None
    assert billed["maxTokens"] < 60


@each_plain_entry
async def test_an_unknown_model_is_rejected_before_the_provider_is_called(
    entry: Entry, provider: Provider, strict_service: Service
) -> None:
    kind: Any = AsyncAccounting if entry.is_async else Accounting
    accounting = kind(strict_service.url, internal_api_key=strict_service.key, user_id=strict_service.user())
    call = new_id()
    with pytest.raises(RequestRejected) as raised:
        await Reading(entry, entry.metered(provider, accounting), id=call).to("end")
    assert raised.value.code == "pricing.unpriced_model"
    assert provider.billed(call) is None
    await accounting.close() if entry.is_async else accounting.close()


def test_a_usage_that_is_none_of_the_providers_is_estimated(
    accounting: Accounting, service: Service, user: str, errors: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Imitation(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = (
                b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[],'
                b'"usage":{"prompt_tokens":-5,"completion_tokens":3,"total_tokens":1}}'
            )
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Imitation)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = llm_accounting.openai.metered(
        openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}", api_key="test"), accounting=accounting
    )
    client.chat.completions.create(**CALL)
    server.shutdown()
    assert service.record(user)["usageSource"] == "estimated"
    assert isinstance(errors[0], RequestRejected)
