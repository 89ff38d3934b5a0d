"""Each way for a stream to end settles it exactly once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_accounting import Accounting, AsyncAccounting, StreamConsumed

from .entries import ENTRIES, LEAVES, PLAIN, ConsumerError, Entry, Reading
from .support import Provider, Service, new_id

# Charges by estimates are compared with some room, for a machine that hiccups; tests.proof is strict.
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=str)
each_plain_entry = pytest.mark.parametrize("entry", PLAIN, ids=str)


@pytest.fixture
def metered(entry: Entry, provider: Provider, accounting: Accounting, async_accounting: AsyncAccounting) -> Any:
    return entry.metered(provider, async_accounting if entry.is_async else accounting)


def cost(billed: Any) -> Any:
    return billed["inputTokens"] + billed["cachedInputTokens"] + billed["cacheWriteTokens"] + billed["outputTokens"]


@each_entry
async def test_a_stream_read_to_its_end_costs_what_the_provider_reported(
    entry: Entry, metered: Any, service: Service, provider: Provider, user: str
) -> None:
    call = new_id()
    reading = Reading(entry, metered, id=call, tokens=40)
    await reading.to("end")
    assert reading.tokens == 40
    record = service.record(user)
    assert record["credits"] == cost(provider.billed(call))
    assert record["usageSource"] == "provider"
    assert record["service"] == "chat-streaming"
    assert service.balance(user) == 1_000_000 - record["credits"]


@each_plain_entry
async def test_an_answer_that_is_not_streamed_costs_what_the_provider_reported(
    entry: Entry, metered: Any, service: Service, provider: Provider, user: str
) -> None:
    call = new_id()
    answer = entry.open(metered, 100, {"id": call, "tokens": 40, "cached": 7}, stream=False)
    if entry.is_async:
        await answer
    record = service.record(user)
    assert record["credits"] == cost(provider.billed(call))
    assert record["quantities"]["cached_input"] == 7


@each_plain_entry
@pytest.mark.parametrize(
    "scenario",
    [{"cached": 30, "cacheWrite": 20}, {"reasoning": 25}, {"tool": True}],
    ids=["cached", "reasoning", "tool"],
)
async def test_whatever_the_usage_has_goes_through(
    entry: Entry, metered: Any, service: Service, provider: Provider, user: str, scenario: dict[str, Any]
) -> None:
    if entry.sdk == "openai":
        scenario = {**scenario, "cacheWrite": 0}
    call = new_id()
    await Reading(entry, metered, id=call, tokens=20, **scenario).to("end")
    record = service.record(user)
    assert record["credits"] == cost(provider.billed(call))
    assert record["quantities"].get("cached_input", 0) == scenario.get("cached", 0)
    assert record["quantities"].get("cache_write_5m", 0) == scenario.get("cacheWrite", 0)


@each_entry
@pytest.mark.parametrize("leave", LEAVES)
async def test_a_stream_left_early_is_estimated_from_what_was_seen(
    entry: Entry, metered: Any, service: Service, provider: Provider, user: str, leave: str
) -> None:
    call = new_id()
    reading = Reading(entry, metered, id=call, tokens=100, everyMs=2, goOn=False)
    if leave == "throw":
        with pytest.raises(ConsumerError):
            await reading.to(leave, after=50)
        # The error's traceback has held the stream.
        await asyncio.sleep(0.01)
    else:
        await reading.to(leave, after=50)
    record = service.record(user)
    assert record["usageSource"] == "estimated"
    assert record["service"] == "chat-streaming"
    assert record["credits"] == pytest.approx(provider.billed(call)["inputTokens"] + reading.tokens, rel=0.15)


@each_plain_entry
@pytest.mark.parametrize("leave", LEAVES)
async def test_a_stream_left_early_is_read_on_where_the_policy_says_so(
    entry: Entry, service: Service, provider: Provider, user: str, leave: str
) -> None:
    options: dict[str, Any] = {"on_leave": {"openai": "drain", "anthropic": "drain"}, "user_id": user}
    kind: Any = AsyncAccounting if entry.is_async else Accounting
    accounting = kind(service.url, internal_api_key=service.key, **options)
    call = new_id()
    reading = Reading(entry, entry.metered(provider, accounting), id=call, tokens=200, everyMs=1)
    if leave == "throw":
        with pytest.raises(ConsumerError):
            await reading.to(leave, after=50)
    else:
        await reading.to(leave, after=50)
    await (accounting.drain() if entry.is_async else _in_thread(accounting.drain))
    record = service.record(user)
    assert record["usageSource"] == "drained"
    assert record["credits"] == cost(provider.billed(call))
    await accounting.close() if entry.is_async else accounting.close()


@each_plain_entry
async def test_a_stream_that_stalls_while_it_is_read_on_is_estimated_at_the_deadline(
    entry: Entry, service: Service, provider: Provider, user: str
) -> None:
    kind: Any = AsyncAccounting if entry.is_async else Accounting
    accounting = kind(
        service.url,
        internal_api_key=service.key,
        user_id=user,
        on_leave={"openai": "drain", "anthropic": "drain"},
        drain_seconds=0.3,
    )
    call = new_id()
    reading = Reading(entry, entry.metered(provider, accounting), id=call, tokens=200, stallAfterTokens=60, goOn=False)
    await reading.to("break", after=60)
    await (accounting.drain(5) if entry.is_async else _in_thread(accounting.drain, 5))
    record = service.record(user)
    assert record["usageSource"] == "estimated"
    assert record["credits"] == pytest.approx(cost(provider.billed(call)), rel=0.15)
    await accounting.close() if entry.is_async else accounting.close()


@each_entry
@pytest.mark.parametrize("failure", ["failAfterTokens", "cutAfterTokens"])
async def test_an_error_of_the_provider_in_mid_stream_settles_what_was_seen(
    entry: Entry, metered: Any, service: Service, provider: Provider, user: str, failure: str
) -> None:
    call = new_id()
    settings: dict[str, Any] = {failure: 50}
    reading = Reading(entry, metered, id=call, tokens=100, **settings)
    # Responses end with an event and not with an error, and a helper complains that the last event is missing.
    ends_quietly = entry.method == "responses" and failure == "failAfterTokens" and not entry.is_helper
    try:
        await reading.to("end")
        assert ends_quietly or entry.is_helper
    except Exception as error:
        # Anthropic's SDK lets the error of its HTTP library through where a connection is cut.
        assert type(error).__module__.split(".")[0] in (entry.sdk, "httpx2", "httpx", "builtins")
        assert not ends_quietly
    assert reading.tokens == 50
    record = service.record(user)
    assert record["service"] == "chat-streaming-failed"
    assert record["usageSource"] == (
        "provider" if entry.method == "responses" and failure == "failAfterTokens" else "estimated"
    )
    assert record["credits"] == pytest.approx(cost(provider.billed(call)), rel=0.15)


@each_entry
async def test_a_refusal_of_the_provider_costs_nothing(entry: Entry, metered: Any, service: Service, user: str) -> None:
    with pytest.raises(entry.library.BadRequestError):
        await Reading(entry, metered, failStatus=400).to("end")
    assert service.records(user) == [] or service.record(user)["credits"] == 0
    assert service.balance(user) == 1_000_000
    assert service.held(user) == 0


@each_entry
async def test_retries_of_the_sdk_have_one_hold(
    entry: Entry,
    provider: Provider,
    accounting: Accounting,
    async_accounting: AsyncAccounting,
    service: Service,
    user: str,
) -> None:
    client = entry.metered(provider, async_accounting if entry.is_async else accounting, max_retries=3)
    call = new_id()
    await Reading(entry, client, id=call, tokens=20, failStatus=500, failTimes=2).to("end")
    billed = provider.billed(call)
    assert billed["requests"] == 3
    assert service.record(user)["credits"] == cost(billed)


@each_plain_entry
async def test_a_time_out_of_the_provider_settles_the_input(
    entry: Entry,
    provider: Provider,
    accounting: Accounting,
    async_accounting: AsyncAccounting,
    service: Service,
    user: str,
) -> None:
    client = entry.metered(provider, async_accounting if entry.is_async else accounting, timeout=0.3)
    call = new_id()
    with pytest.raises(entry.library.APITimeoutError):
        await Reading(entry, client, id=call, firstMs=2000, tokens=0).to("end")
    record = service.record(user)
    assert record["usageSource"] == "estimated"
    assert record["quantities"].get("output", 0) == 0


@each_plain_entry
async def test_a_stream_that_stalls_is_settled_at_the_time_out_of_the_sdk(
    entry: Entry,
    provider: Provider,
    accounting: Accounting,
    async_accounting: AsyncAccounting,
    service: Service,
    user: str,
) -> None:
    client = entry.metered(provider, async_accounting if entry.is_async else accounting, timeout=0.3)
    call = new_id()
    reading = Reading(entry, client, id=call, tokens=100, stallAfterTokens=50, goOn=False)
    with pytest.raises(Exception) as raised:
        await reading.to("end")
    assert "Timeout" in type(raised.value).__name__
    record = service.record(user)
    assert record["credits"] == pytest.approx(cost(provider.billed(call)), rel=0.15)
    assert record["service"] == "chat-streaming-failed"


@each_plain_entry
async def test_a_stream_is_read_once(entry: Entry, metered: Any, service: Service, user: str) -> None:
    opened = entry.open(metered, 100, {"tokens": 5})
    if entry.is_async:
        stream = await opened
        assert [event async for event in stream]
        with pytest.raises(StreamConsumed):
            async for _ in stream:
                pass
    else:
        stream = opened
        assert list(stream)
        with pytest.raises(StreamConsumed):
            list(stream)
    service.record(user)


@each_plain_entry
async def test_a_stream_that_is_never_read_is_settled_when_it_is_forgotten(
    entry: Entry, metered: Any, service: Service, user: str
) -> None:
    opened = entry.open(metered, 100, {"tokens": 5})
    if entry.is_async:
        await opened
    del opened
    assert service.record(user)["usageSource"] == "estimated"


async def _in_thread(function: Any, *arguments: Any) -> None:
    await asyncio.to_thread(function, *arguments)
