"""The process ends: by itself, by SIGTERM, and after a fork."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from .support import OPENAI_MODEL, Provider, Service

HEAD = """
import asyncio, os, signal, sys, time
import openai
from llm_accounting import Accounting, AsyncAccounting, Progress
from llm_accounting.openai import metered
url, key, user, provider, model = sys.argv[1:]
options = {"internal_api_key": key, "user_id": user, "progress": Progress(10, 5)}
call = {"model": model, "messages": [{"role": "user", "content": "what is new"}], "max_tokens": 3000, "stream": True,
        "extra_headers": {"x-fake": '{"tokens": 2500, "everyMs": 4, "goOn": false}'}}
client = openai.OpenAI(base_url=provider + "/v1", api_key="test")
async_client = openai.AsyncOpenAI(base_url=provider + "/v1", api_key="test")
"""
SYNC = """
accounting = Accounting(url, **options)
accounting.drain_on_exit(seconds=1)
for number, chunk in enumerate(metered(client, accounting=accounting).chat.completions.create(**call)):
    if number == 50:
        print("ready", flush=True)
"""
ASYNC = """
async def main():
    accounting = AsyncAccounting(url, **options)
    accounting.drain_on_exit(seconds=1)
    number = 0
    async for chunk in await metered(async_client, accounting=accounting).chat.completions.create(**call):
        number += 1
        if number == 50:
            print("ready", flush=True)
asyncio.run(main())
"""
KILLED = """
accounting = Accounting(url, **{**options, "progress": Progress()})
for number, chunk in enumerate(metered(client, accounting=accounting).chat.completions.create(**call)):
    if number == 50:
        print("ready", flush=True)
"""
LEFT = """
accounting = Accounting(url, **options)
stream = metered(client, accounting=accounting).chat.completions.create(**call)
for number, chunk in enumerate(stream):
    if number == 50:
        break
"""
HALF_READ = """
accounting = Accounting(url, **options)
stream = metered(client, accounting=accounting).chat.completions.create(**call)
for number in range(50):
    next(stream)
keep = [stream]
"""
LEFT_ASYNC = """
async def main():
    accounting = AsyncAccounting(url, **options)
    stream = await metered(async_client, accounting=accounting).chat.completions.create(**call)
    number = 0
    async for chunk in stream:
        number += 1
        if number == 50:
            return
asyncio.run(main())
"""
FORK = """
accounting = Accounting(url, **options)
accounting.session(model_id=model, input_tokens=20, max_output_tokens=10).abort(0)
if os.fork() == 0:
    stream = metered(client, accounting=accounting).chat.completions.create(**call)
    for number, chunk in enumerate(stream):
        if number == 50:
            break
    accounting.drain(5)
    os._exit(0)
os.wait()
"""


def start(program: str, service: Service, provider: Provider, user: str) -> subprocess.Popen[str]:
    arguments = [service.url, service.key, user, provider.url, OPENAI_MODEL]
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
def test_sigterm_settles_open_sessions_and_ends_the_process(
    program: str, service: Service, provider: Provider, user: str
) -> None:
    process = start(program, service, provider, user)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    record = service.record(user)
    assert record["usageSource"] == "estimated"
    assert record["credits"] > 50


def test_a_process_that_is_killed_after_a_few_tokens_pays_for_its_prompt(provider: Provider) -> None:
    with Service("--lease", "3", "--sweep", "1") as quick:
        quick.set_prices()
        user = quick.user()
        process = start(KILLED, quick, provider, user)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.wait()
        quantities = quick.record(user)["quantities"]
    assert quantities["input"] > 0
    assert quantities["output"] in range(1, 100)


@pytest.mark.parametrize("program", [LEFT, HALF_READ, LEFT_ASYNC], ids=["left", "half read", "left async"])
def test_a_process_that_ends_settles_what_it_has_left(
    program: str, service: Service, provider: Provider, user: str
) -> None:
    process = start(program, service, provider, user)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert service.record(user)["credits"] in range(50, 80)


def test_a_forked_process_settles_its_own(service: Service, provider: Provider, user: str) -> None:
    process = start(FORK, service, provider, user)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in errors) == (0, False), errors
    records: list[dict[str, Any]] = service.settled(user, 2)
    assert max(record["credits"] for record in records) in range(50, 80)
