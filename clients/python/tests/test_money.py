"""What happens when credits run short."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import llm_accounting
from llm_accounting import Accounting, AsyncAccounting, Progress

from .entries import ENTRIES, PLAIN, Entry, Reading
from .support import ANTHROPIC_MODEL, OPENAI_MODEL, Provider, Service, new_id

each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=str)
each_plain_entry = pytest.mark.parametrize("entry", PLAIN, ids=str)
without_maximum = pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.sdk == "openai"], ids=str)


@pytest.fixture
async def accounting_for(service: Service) -> AsyncIterator[Any]:
    made: list[Any] = []

    def make(entry: Entry, user: str, **options: Any) -> Any:
        kind: Any = AsyncAccounting if entry.is_async else Accounting
        made.append(kind(service.url, internal_api_key=service.key, user_id=user, progress=Progress(10, 5), **options))
        return made[-1]

    yield make
    for accounting in made:
        await accounting.close() if isinstance(accounting, AsyncAccounting) else accounting.close()


@without_maximum
async def test_a_stream_is_stopped_when_the_money_is_gone(
    entry: Entry, accounting_for: Any, service: Service, provider: Provider
) -> None:
    user = service.user(200)
    # The call names no maximum, so the provider would write 2000 tokens.
    client = entry.metered(provider, accounting_for(entry, user, max_output_tokens=60))
    call = new_id()
    reading = Reading(entry, client, max_tokens=None, id=call, tokens=2000, everyMs=2, goOn=False)
    with pytest.raises(entry.errors.CreditsExhausted) as raised:
        await reading.to("end")
    error: Any = raised.value
    assert isinstance(error, entry.library.APIStatusError)
    assert issubclass(type(error), llm_accounting.CreditsExhausted)
    assert (error.status_code, error.code) == (402, "credits.insufficient")
    assert error.max_affordable_tokens is not None
    # The partial text was delivered, and what it costs is on the error.
    assert 150 < reading.tokens < 190
    assert error.generated_tokens == pytest.approx(reading.tokens, rel=0.15)
    assert error.usage["usageSource"] == "estimated"
    record = service.record(user)
    assert record["uncollectedCredits"] <= 2
    assert service.balance(user) < 30
    assert provider.billed(call)["clientLeft"]


@each_plain_entry
async def test_the_stream_of_a_removed_member_is_stopped(
    entry: Entry, accounting_for: Any, service: Service, provider: Provider
) -> None:
    user = service.user(0)
    organisation = service.post("/organisations", {"id": f"org:{new_id()[:20]}", "name": "Acme"})["id"]
    service.post(f"/organisations/{organisation}/members", {"userId": user, "role": "member"})
    service.post("/credits/allocate", {"accountId": organisation, "credits": 10_000})
    client = entry.metered(provider, accounting_for(entry, user, account_id=organisation))
    # The provider stalls: the stream is broken off, not just stopped with its next chunk.
    reading = Reading(
        entry, client, id=new_id(), tokens=900, everyMs=2, stallAfterTokens=100, goOn=False, tokensPerChunk=1
    )

    def remove(tokens: int) -> None:
        if tokens == 20:
            service.admin.delete(f"/organisations/{organisation}/members/{user}").raise_for_status()

    reading.on_token = remove
    with pytest.raises(entry.errors.CreditsExhausted) as raised:
        await reading.to("end")
    assert raised.value.code == "account.not_found"
    assert 20 <= reading.tokens <= 100


@each_entry
async def test_the_last_credits_can_be_spent(
    entry: Entry, accounting_for: Any, service: Service, provider: Provider
) -> None:
    user = service.user(100)
    call = new_id()
    reading = Reading(entry, entry.metered(provider, accounting_for(entry, user)), id=call, tokens=500)
    try:
        await reading.to("end")
    except Exception as error:
        # A helper of OpenAI's complains that the answer was cut off.
        assert entry.is_helper, error
    billed = provider.billed(call)
    assert billed["maxTokens"] < 100
    assert 40 < reading.tokens == billed["maxTokens"]
    assert service.record(user)["credits"] == billed["inputTokens"] + reading.tokens
    # The prompt was counted by an estimate.
    assert service.record(user)["uncollectedCredits"] <= 5


@each_plain_entry
async def test_a_call_that_cannot_be_paid_for_is_not_made(
    entry: Entry, accounting_for: Any, service: Service, provider: Provider
) -> None:
    user = service.user(20)
    call = new_id()
    client = entry.metered(provider, accounting_for(entry, user))
    with pytest.raises(entry.errors.CreditsExhausted) as raised:
        await Reading(entry, client, id=call).to("end")
    assert raised.value.status_code == 402
    assert raised.value.code == "credits.insufficient"
    assert raised.value.required_credits > raised.value.available_credits == 20
    assert raised.value.response.json()["code"] == "credits.insufficient"
    assert provider.billed(call) is None
    assert service.records(user) == []


@each_plain_entry
async def test_a_budget_that_is_exceeded_is_named(
    entry: Entry, accounting_for: Any, service: Service, provider: Provider
) -> None:
    user = service.user()
    service.admin.post(
        "/budgets",
        json={"accountId": user, "scope": "account", "unit": "credits", "window": "day", "amount": 10, "mode": "hard"},
    ).raise_for_status()
    with pytest.raises(entry.errors.CreditsExhausted) as raised:
        await Reading(entry, entry.metered(provider, accounting_for(entry, user))).to("end")
    assert raised.value.code == "budget.exceeded"
    assert raised.value.limits[0]["limit"] == 10


@each_plain_entry
async def test_a_limit_that_is_exceeded_says_when_to_try_again(
    entry: Entry, accounting_for: Any, service: Service, provider: Provider
) -> None:
    user = service.user()
    service.admin.post(
        "/budgets",
        json={
            "accountId": user,
            "scope": "account",
            "unit": "requests",
            "window": "minute",
            "amount": 1,
            "mode": "hard",
        },
    ).raise_for_status()
    client = entry.metered(provider, accounting_for(entry, user))
    with pytest.raises(entry.errors.LimitExceeded) as raised:
        for _ in range(3):
            await Reading(entry, client, tokens=2).to("end")
    assert isinstance(raised.value, entry.library.RateLimitError)
    assert raised.value.code == "limit.exceeded"
    assert 0 < raised.value.retry_after <= 60
    assert raised.value.response.headers["Retry-After"]


async def test_several_choices_share_what_can_be_paid_for(
    accounting_for: Any, service: Service, provider: Provider
) -> None:
    entry = PLAIN[0]
    user = service.user(400)
    client = entry.metered(provider, accounting_for(entry, user))
    call = new_id()
    stream = client.chat.completions.create(
        model=OPENAI_MODEL,
        messages=[{"role": "user", "content": "what is new"}],
        n=3,
        max_tokens=1000,
        stream=True,
        extra_headers={"x-fake": f'{{"id": "{call}", "tokens": 2000}}'},
    )
    list(stream)
    billed = provider.billed(call)
    assert billed["maxTokens"] * 3 < 400
    assert service.record(user)["credits"] == billed["inputTokens"] + billed["outputTokens"] <= 400


async def test_thinking_needs_its_budget(accounting_for: Any, service: Service, provider: Provider) -> None:
    entry = next(entry for entry in PLAIN if entry.method == "messages" and not entry.is_async)
    user = service.user(500)
    client = entry.metered(provider, accounting_for(entry, user))
    with pytest.raises(entry.errors.CreditsExhausted):
        client.messages.create(
            model=ANTHROPIC_MODEL,
            messages=[{"role": "user", "content": "what is new"}],
            max_tokens=4000,
            thinking={"type": "enabled", "budget_tokens": 1024},
        )
    assert service.held(user) == 0


async def test_the_usage_is_shown_to_those_who_asked_for_it(
    accounting_for: Any, service: Service, provider: Provider
) -> None:
    entry = PLAIN[0]
    client = entry.metered(provider, accounting_for(entry, service.user()))
    arguments: dict[str, Any] = {
        "model": OPENAI_MODEL,
        "messages": [{"role": "user", "content": "what"}],
        "stream": True,
    }
    hidden = list(client.chat.completions.create(**arguments))
    shown = list(client.chat.completions.create(**arguments, stream_options={"include_usage": True}))
    assert all(chunk.usage is None and chunk.choices for chunk in hidden)
    assert [chunk.usage is not None for chunk in shown].count(True) == 1
