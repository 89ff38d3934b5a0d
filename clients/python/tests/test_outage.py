"""The service is down: calls that may fail open, and the spool."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_accounting import Accounting, AccountingUnavailable, AsyncAccounting, FailOpen, SpoolInUse, _outbox
from llm_accounting.options import Identity

from .entries import PLAIN, Entry, Reading
from .support import OPENAI_MODEL, Provider, Service, new_id
from .test_endings import cost
from .test_sessions import CALL, until

each_plain_entry = pytest.mark.parametrize("entry", PLAIN, ids=str)
DOWN = "http://127.0.0.1:9"


@pytest.fixture
def paused(service: Service) -> Iterator[Service]:
    service.pause()
    yield service
    service.resume()


def open_accounting(kind: Any, service: Service, user: str, spool: Path, **options: Any) -> Any:
    given = {"fail_open": FailOpen(1000, spool), "timeout": 0.3, "on_error": lambda error: None, **options}
    return kind(service.url, internal_api_key=service.key, user_id=user, **given)


def lines(spool: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in spool.read_text().splitlines()]


@each_plain_entry
async def test_a_call_fails_before_the_provider_is_called(entry: Entry, provider: Provider) -> None:
    kind: Any = AsyncAccounting if entry.is_async else Accounting
    accounting = kind(DOWN, internal_api_key="k", user_id="u")
    call = new_id()
    with pytest.raises(entry.errors.AccountingUnavailable) as raised:
        await Reading(entry, entry.metered(provider, accounting), id=call).to("end")
    assert isinstance(raised.value, AccountingUnavailable)
    assert isinstance(raised.value, entry.library.InternalServerError)
    assert raised.value.status_code == 503
    assert provider.billed(call) is None


@each_plain_entry
async def test_a_call_that_is_let_through_is_charged_when_the_service_is_back(
    entry: Entry, service: Service, provider: Provider, user: str, tmp_path: Path
) -> None:
    kind: Any = AsyncAccounting if entry.is_async else Accounting
    accounting = open_accounting(kind, service, user, tmp_path / "spool")
    call = new_id()
    service.pause()
    try:
        await Reading(entry, entry.metered(provider, accounting), id=call, tokens=30).to("end")
    finally:
        service.resume()
    record = service.record(user)
    assert record["credits"] == cost(provider.billed(call))
    assert record["usageSource"] == "provider"
    until(lambda: "done" in lines(tmp_path / "spool")[-1])
    await accounting.close() if entry.is_async else accounting.close()


def test_calls_are_let_through_up_to_the_bound(service: Service, user: str, tmp_path: Path) -> None:
    accounting = open_accounting(Accounting, service, user, tmp_path / "spool")
    # A call of 120 tokens has cost 120 credits.
    accounting.session(**CALL).abort(0)
    service.pause()
    try:
        let_through = [accounting.session(**CALL) for _ in range(8)]
        assert not let_through[0].is_held
        with pytest.raises(AccountingUnavailable, match="max_credits"):
            accounting.session(**CALL)
        for session in let_through:
            session.finalize(input_tokens=20, output_tokens=10)
        # They are not paid for yet.
        with pytest.raises(AccountingUnavailable):
            accounting.session(**CALL)
    finally:
        service.resume()
    assert sum(record["credits"] for record in service.settled(user, 9)) == 8 * 30
    until(lambda: accounting._core.outbox.assumed_credits == 0)
    accounting.close()


def test_a_call_without_a_user_id_is_not_let_through(service: Service, tmp_path: Path) -> None:
    accounting = Accounting(DOWN, internal_api_key="k", fail_open=FailOpen(1000, tmp_path / "spool"))
    with pytest.raises(AccountingUnavailable, match="user_id"):
        accounting.for_(token="secret").session(**CALL)
    accounting.close()
    with pytest.raises(ValueError, match="fail_open"):
        Accounting(DOWN, token="secret", fail_open=FailOpen(1000, tmp_path / "spool"))


def test_a_hold_that_was_made_after_all_is_settled_by_its_id(service: Service, user: str, tmp_path: Path) -> None:
    accounting = open_accounting(Accounting, service, user, tmp_path / "spool")
    service.pause()
    # The service reads the request when it goes on, so there is a session of this id.
    session = accounting.session(**CALL)
    service.resume()
    until(lambda: service.held(user) > 0)
    session.finalize(input_tokens=20, output_tokens=10)
    assert service.record(user)["sessionId"] == session.session_id
    accounting.close()


def test_a_settlement_is_on_the_disk_before_it_is_sent(service: Service, user: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    accounting = open_accounting(Accounting, service, user, spool)
    session = accounting.session(**CALL)
    service.pause()
    try:
        session.finalize(input_tokens=20, output_tokens=30)
        settlement = lines(spool)[-1]["settlement"]
    finally:
        service.resume()
    assert settlement["session_id"] == session.session_id
    assert settlement["settlement"]["outputTokens"] == 30
    assert service.key not in spool.read_text()
    assert service.record(user)["credits"] == 50
    accounting.close()


def test_what_was_left_is_replayed_once_by_the_next_process(service: Service, user: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    first = open_accounting(Accounting, service, user, spool)
    sessions = [first.session(**CALL) for _ in range(3)]
    for session in sessions:
        session.finalize(input_tokens=20, output_tokens=30)
    # As after a kill between the answers and the lines that say so, with a torn last line.
    kept = [line for line in spool.read_text().splitlines() if "done" not in json.loads(line)]
    first.close()
    spool.write_text("\n".join(kept) + '\n{"settlement": {"session_id"')
    second = open_accounting(Accounting, service, user, spool)
    until(lambda: not second._core.outbox._entries)
    assert [record["credits"] for record in service.settled(user, 3)] == [50, 50, 50]
    second.close()


def test_a_settlement_is_repeated_every_5_seconds_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append)
    monkeypatch.setattr(_outbox, "time", clock)

    def deliver(entry: _outbox.Entry) -> None:
        if len(pauses) < 20:
            raise AccountingUnavailable("down")
        outbox.done(entry)

    outbox = _outbox.Outbox(None, deliver, lambda error: None)
    entry = _outbox.Entry("s", OPENAI_MODEL, 20, Identity("u"), "key")
    outbox.add(entry)
    outbox.wait_for_service(entry)
    until(lambda: not outbox._entries)
    outbox.close()
    assert max(pauses) <= 5
    # They differ by chance, and grow at first.
    assert len(set(pauses[-10:])) > 5
    assert min(pauses[-10:]) >= 2.5


def test_a_settlement_that_is_rejected_for_good_is_put_aside(service: Service, user: str, tmp_path: Path) -> None:
    errors: list[Exception] = []
    spool = tmp_path / "spool"
    accounting = open_accounting(Accounting, service, user, spool, on_error=errors.append)
    session = accounting.session(**CALL)
    service.pause()
    session.finalize(provider="openai", usage={"nonsense": 1})
    service.resume()
    until(lambda: len(errors) == 2)
    rejected = lines(tmp_path / "spool.rejected")[0]
    assert rejected["session_id"] == session.session_id
    assert rejected["problem"]["code"] == "validation.failed"
    until(lambda: not accounting._core.outbox._entries)
    # What comes after it is sent all the same.
    service.pause()
    accounting.session(**CALL).finalize(input_tokens=20, output_tokens=30)
    service.resume()
    until(lambda: [record["credits"] for record in service.records(user)] == [50])
    accounting.close()


def test_a_spool_has_all_that_it_acknowledged_after_the_disk_was_full(tmp_path: Path) -> None:
    spool = _outbox._SpoolFile(tmp_path / "spool")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    acknowledged = 0
    try:
        # A limit on the size of files takes a part of what is written, as a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            while True:
                spool.append({"number": acknowledged}, sync=False)
                acknowledged += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    spool.append({"number": acknowledged}, sync=True)
    spool.close()
    read = [_outbox._parse(line) for line in (tmp_path / "spool").read_bytes().splitlines()]
    assert [line["number"] for line in read if line] == list(range(acknowledged + 1))


def test_two_processes_do_not_share_a_spool(service: Service, user: str, tmp_path: Path) -> None:
    first = open_accounting(Accounting, service, user, tmp_path / "spool")
    with pytest.raises(SpoolInUse, match=str(os.getpid())):
        open_accounting(Accounting, service, user, tmp_path / "spool")
    first.close()
    open_accounting(Accounting, service, user, tmp_path / "spool").close()


PROGRAM = """
import sys, time
from llm_accounting import Accounting, FailOpen
url, key, user, spool, model, end = sys.argv[1:]
accounting = Accounting(url, internal_api_key=key, user_id=user, timeout=0.3, fail_open=FailOpen(1000, spool))
session = accounting.session(model_id=model, input_tokens=20, max_output_tokens=500)
if end == "settled":
    session.finalize(input_tokens=20, output_tokens=30)
session.report(300) if end == "running" else None
time.sleep(0.3)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("end", "credits"), [("settled", 50), ("running", 320)])
def test_a_killed_process_leaves_its_calls_to_the_next(
    service: Service, user: str, tmp_path: Path, end: str, credits: int
) -> None:
    spool = tmp_path / "spool"
    service.pause()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, service.url, service.key, user, str(spool), OPENAI_MODEL, end],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        service.resume()
    # Its lock has ended with it.
    accounting = open_accounting(Accounting, service, user, spool)
    assert service.record(user)["credits"] == credits
    time.sleep(0.2)
    assert len(service.records(user)) == 1
    accounting.close()


def test_a_full_disk_is_no_reason_not_to_settle(service: Service, user: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    errors: list[Exception] = []
    with Accounting(service.url, internal_api_key=service.key, user_id=user, on_error=errors.append) as accounting:
        session = accounting.session(**CALL)

        class Full:
            def append(self, line: dict[str, Any], *, sync: bool) -> None:
                with open("/dev/full", "w", encoding="utf-8") as full:
                    full.write(str(line))

            def empty(self) -> None: ...

            def close(self) -> None: ...

        accounting._core.outbox._file = Full()  # type: ignore[assignment]
        session.finalize(input_tokens=20, output_tokens=30)
    assert service.record(user)["credits"] == 50
    assert any(isinstance(error, OSError) for error in errors)
