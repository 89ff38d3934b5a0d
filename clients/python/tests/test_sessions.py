"""Sessions without an SDK, and the connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from llm_accounting import (
    Accounting,
    AccountingUnavailable,
    AsyncAccounting,
    CreditsExhausted,
    Progress,
    RequestRejected,
    SessionSettled,
)
from llm_accounting.options import Identity

from .support import OPENAI_MODEL, Service, new_id

CALL: dict[str, Any] = {"model_id": OPENAI_MODEL, "input_tokens": 20, "max_output_tokens": 100}


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_session_holds_and_settles(accounting: Accounting, service: Service, user: str) -> None:
    session = accounting.session(**CALL)
    assert session.max_output_tokens == 100
    assert session.estimate_source == "ceiling"
    assert session.is_held
    assert service.held(user) == 120
    settled = session.finalize(input_tokens=20, output_tokens=30)
    assert settled is not None
    assert settled["actualCredits"] == 50
    assert service.record(user)["credits"] == 50


async def test_a_session_holds_and_settles_asynchronously(
    async_accounting: AsyncAccounting, service: Service, user: str
) -> None:
    async with await async_accounting.session(**CALL) as session:
        settled = await session.finalize(quantities={"input": 20, "output": 30}, usage_source="provider")
    assert settled is not None
    record = service.record(user)
    assert (record["credits"], record["usageSource"]) == (50, "provider")


def test_a_session_settles_once(accounting: Accounting, service: Service, user: str) -> None:
    session = accounting.session(**CALL)
    session.finalize(input_tokens=20, output_tokens=30)
    with pytest.raises(SessionSettled) as raised:
        session.finalize(input_tokens=20, output_tokens=99)
    assert raised.value.code == "client.session_settled"
    with pytest.raises(SessionSettled):
        session.abort()
    with pytest.raises(SessionSettled):
        session.report(40)
    assert service.record(user)["credits"] == 50


async def test_an_asynchronous_session_settles_once(
    async_accounting: AsyncAccounting, service: Service, user: str
) -> None:
    session = await async_accounting.session(**CALL)
    await session.abort(10)
    with pytest.raises(SessionSettled):
        await session.finalize(input_tokens=20, output_tokens=99)
    assert service.record(user)["credits"] == 30


def test_leaving_a_session_without_a_settlement_aborts_it(accounting: Accounting, service: Service, user: str) -> None:
    with pytest.raises(KeyError), accounting.session(**CALL) as session:
        session.report(10)
        raise KeyError
    assert service.record(user)["credits"] == 30


def test_reports_are_sent_by_tokens_one_at_a_time_and_the_newest_counts(
    accounting: Accounting, service: Service, user: str
) -> None:
    session = accounting.session(**CALL)
    begun = time.perf_counter()
    for tokens in range(1, 96):
        session.report(tokens)
    assert time.perf_counter() - begun < 0.05
    until(lambda: service.active(user)[0]["tokensGenerated"] >= 90)
    session.report(99)
    time.sleep(0.05)
    assert service.active(user)[0]["tokensGenerated"] < 99
    session.abort()
    # What was reported last is charged, whether it was sent or not.
    assert service.record(user)["credits"] in range(20 + 90, 20 + 100)


def test_reports_are_sent_by_the_clock(service: Service, user: str) -> None:
    with Accounting(
        service.url, internal_api_key=service.key, user_id=user, progress=Progress(1000, 0.2)
    ) as accounting:
        session = accounting.session(**CALL)
        for tokens in (1, 7):
            session.report(tokens)
            until(lambda tokens=tokens: service.active(user)[0]["tokensGenerated"] == tokens)  # type: ignore[misc]
        session.abort()


def test_a_session_says_when_to_stop(accounting: Accounting, service: Service) -> None:
    user = service.user(200)
    session = accounting.for_(user_id=user).session(**CALL)
    session.raise_if_stopped()
    session.report(250)
    until(lambda: session.stop_reason)
    with pytest.raises(CreditsExhausted) as raised:
        session.raise_if_stopped()
    assert raised.value.code == "credits.insufficient"
    session.abort(170)
    assert service.record(user)["credits"] == 190


def test_a_session_gets_what_can_be_paid_for(accounting: Accounting, service: Service) -> None:
    user = service.user(100)
    session = accounting.for_(user_id=user).session(model_id=OPENAI_MODEL, input_tokens=20, max_output_tokens=5000)
    assert 16 <= session.max_output_tokens <= 80
    session.abort(0)
    with pytest.raises(CreditsExhausted) as raised:
        accounting.for_(user_id=user).session(model_id=OPENAI_MODEL, input_tokens=90, max_output_tokens=5000)
    assert raised.value.max_affordable_tokens is not None
    assert raised.value.max_affordable_tokens < 16
    assert service.balance(user) == 100


def test_a_session_id_is_used_once(accounting: Accounting, service: Service, user: str) -> None:
    session = accounting.session(**CALL, session_id="s")
    with pytest.raises(RequestRejected):
        accounting.session(**CALL, session_id="s")
    session.abort(0)
    with pytest.raises(RequestRejected):
        accounting.session(**CALL, session_id="s")
    with pytest.raises(RequestRejected) as raised:
        accounting.session(model_id=OPENAI_MODEL, input_tokens=21, max_output_tokens=100, session_id="s")
    assert raised.value.status == 409


def test_two_users_may_use_the_same_session_id(accounting: Accounting, service: Service) -> None:
    users = [service.user(), service.user()]
    sessions = [accounting.for_(user_id=user).session(**CALL, session_id="same") for user in users]
    service.pause()
    try:
        for output, session in enumerate(sessions):
            session.finalize(input_tokens=20, output_tokens=output)
    finally:
        service.resume()
    assert [service.record(user)["credits"] for user in users] == [20, 21]


def test_an_unknown_model_is_rejected_where_the_service_says_so(strict_service: Service) -> None:
    service = strict_service
    with Accounting(service.url, internal_api_key=service.key, user_id=service.user()) as accounting:
        with pytest.raises(RequestRejected) as raised:
            accounting.session(model_id="unknown", input_tokens=20, max_output_tokens=100)
    assert raised.value.code == "pricing.unpriced_model"


def test_a_wrong_key_is_rejected(service: Service, user: str) -> None:
    with Accounting(service.url, internal_api_key="wrong", user_id=user) as accounting:
        with pytest.raises(RequestRejected) as raised:
            accounting.session(**CALL)
    assert raised.value.status == 401


def test_a_token_says_who_calls_and_need_not_last(service: Service, accounting: Accounting, user: str) -> None:
    tokens = iter([service.token(user), "expired"])
    session = accounting.for_(token=lambda: next(tokens)).session(**CALL)
    session.finalize(input_tokens=20, output_tokens=1)
    assert service.record(user)["userId"] == user


def test_tags_and_payer_go_through(service: Service, accounting: Accounting, user: str) -> None:
    session = accounting.for_(tags={"team": "a"}).session(**CALL, tags={"feature": "chat"})
    session.finalize(input_tokens=20, output_tokens=1)
    assert service.record(user)["tags"] == {"team": "a", "feature": "chat"}


def test_another_caller_inherits_nothing(accounting: Accounting) -> None:
    mine = accounting.for_(account_id="org:a", tags={"team": "a"})
    assert (mine._identity.account_id, mine._identity.user_id) == ("org:a", accounting._identity.user_id)
    assert mine.for_(user_id="bob")._identity == Identity("bob")
    by_token = mine.for_(token="of bob")
    assert by_token._identity == Identity(token="of bob")
    assert by_token.for_(user_id="carol", tags={"team": "c"})._identity == Identity("carol", tags={"team": "c"})


def test_what_belongs_to_no_caller_goes_with_each() -> None:
    shared = Accounting("http://127.0.0.1:9", internal_api_key="k", account_id="org:a", tags={"app": "a"})
    assert shared.for_(user_id="bob")._identity == Identity("bob", "org:a", tags={"app": "a"})
    shared.close()


def test_an_outage_fails_closed(user: str) -> None:
    with Accounting("http://127.0.0.1:9", internal_api_key="k", user_id=user) as accounting:
        with pytest.raises(AccountingUnavailable):
            accounting.session(**CALL)


def test_a_hold_whose_answer_came_too_late_is_given_back(service: Service, user: str) -> None:
    with Accounting(service.url, internal_api_key=service.key, user_id=user, timeout=0.3) as accounting:
        service.pause()
        try:
            with pytest.raises(AccountingUnavailable):
                accounting.session(**CALL)
        finally:
            service.resume()
        until(lambda: service.held(user) == 0 and service.balance(user) == 1_000_000)
        time.sleep(0.5)
        assert service.held(user) == 0


def test_a_settlement_that_finds_the_service_down_is_sent_later(
    service: Service, user: str, errors: list[Exception]
) -> None:
    with Accounting(
        service.url, internal_api_key=service.key, user_id=user, timeout=0.3, on_error=errors.append
    ) as accounting:
        session = accounting.session(**CALL)
        service.pause()
        try:
            assert session.finalize(input_tokens=20, output_tokens=30) is None
        finally:
            service.resume()
        assert isinstance(errors[0], AccountingUnavailable)
        assert service.record(user)["credits"] == 50


def test_a_settlement_that_is_rejected_raises(accounting: Accounting, errors: list[Exception]) -> None:
    session = accounting.session(**CALL)
    with pytest.raises(RequestRejected) as raised:
        session.finalize(provider="openai", usage={"nonsense": 1})
    assert raised.value.code == "validation.failed"
    assert errors == [raised.value]


def test_contradicting_options_are_refused() -> None:
    with pytest.raises(ValueError, match="exclude"):
        Accounting("http://localhost", internal_api_key="a", api_key="b")
    with pytest.raises(ValueError, match="required"):
        Accounting("http://localhost")
    with pytest.raises(ValueError, match="on_leave"):
        Accounting("http://localhost", api_key="b", on_leave={"open_ai": "drain"})


def test_a_late_settlement_after_a_time_out_counts() -> None:
    with Service("--lease", "1", "--sweep", "1") as quick:
        quick.set_prices()
        user = quick.user()
        with Accounting(quick.url, internal_api_key=quick.key, user_id=user) as accounting:
            session = accounting.session(**CALL, session_id=new_id())
            # As a process that was killed: nothing renews the lease.
            accounting._core.open.clear()
            until(lambda: quick.held(user) == 0, 15)
            settled = session.finalize(input_tokens=20, output_tokens=30)
        assert settled is not None
        assert settled["late"]
        assert quick.record(user)["credits"] == 50


def test_a_quiet_session_keeps_its_lease() -> None:
    with Service("--lease", "2", "--sweep", "1") as quick:
        quick.set_prices()
        user = quick.user()
        with Accounting(quick.url, internal_api_key=quick.key, user_id=user) as accounting:
            session = accounting.session(**CALL)
            time.sleep(5)
            assert len(quick.active(user)) == 1
            session.abort(0)
