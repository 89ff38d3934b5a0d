"""Proves at length that each call is settled once, and what metering costs.

    python -m tests.proof [--streams 10000] [--at-once 60] [--outage-seconds 60]
                          [--only endings,kills,outage,provider,overhead]

The service and the fake provider are real processes with their own database. It prints tables in Markdown and ends with
status 1 if a hold leaked, a settlement was doubled or lost, or a charge was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import openai

from llm_accounting import Accounting, AsyncAccounting, FailOpen
from llm_accounting._connection import Answer
from llm_accounting.openai import metered
from llm_accounting.options import Identity

from .entries import ENTRIES, LEAVES, ConsumerError, Entry, Reading
from .support import OPENAI_MODEL, Provider, Service, new_id
from .tokenizer import provide_tables

LEASE_SECONDS = 15
# As models write: 33 tokens a second, after a prompt of some lines.
TOKENS = 120
EVERY_MS = 30
# Of words that the fake provider knows as one token each.
PROMPT = "what is new in this time and what may you do with it now " * 15
# A charge by an estimate may differ so much from what the provider billed.
TOLERANCE = 0.05


@dataclass
class Play:
    """One stream: how it is ended, and by whom it is paid."""

    entry: Entry
    end: str
    policy: str
    user: str
    call: str = field(default_factory=new_id)

    @property
    def scenario(self) -> dict[str, Any]:
        scenario: dict[str, Any] = {
            "id": self.call,
            "tokens": TOKENS,
            "everyMs": EVERY_MS,
            "goOn": self.policy == "drain",
        }
        if self.end == "provider fails":
            scenario["failAfterTokens"] = random.randrange(TOKENS)
        if self.end == "connection cut":
            scenario["cutAfterTokens"] = random.randrange(TOKENS)
        return scenario


class Proof:
    def __init__(self, service: Service, provider: Provider) -> None:
        self.service = service
        self.provider = provider
        self.problems: list[str] = []

    def accounting(self, is_async: bool, user: str, **options: Any) -> Any:
        kind: Any = AsyncAccounting if is_async else Accounting
        return kind(self.service.url, internal_api_key=self.service.key, user_id=user, **options)

    def records_by_call(self, user: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        query: dict[str, Any] = {"limit": 200}
        while True:
            page = self.service.get(f"/usage/records/user/{user}", **query)
            for record in page["items"]:
                found.setdefault((record["tags"] or {}).get("call", ""), []).append(record)
            if page["nextCursor"] is None:
                return found
            query["cursor"] = page["nextCursor"]

    def wait_for_leases(self, users: list[str]) -> int:
        """Waits until every lease has ended. Returns the holds that are still there."""
        end = time.monotonic() + LEASE_SECONDS + 5
        while time.monotonic() < end and any(self.service.held(user) for user in users):
            time.sleep(0.2)
        return sum(len(self.service.active(user)) for user in users)

    def check(self, is_right: bool, problem: str) -> None:
        if not is_right:
            self.problems.append(problem)

    # Each SDK, each way to end.

    async def endings(self, streams: int, at_once: int) -> None:
        ways = [("end", "estimate"), ("provider fails", "estimate"), ("connection cut", "estimate")]
        ways += [(leave, policy) for leave in LEAVES for policy in ("estimate", "drain")]
        combinations = [
            (entry, end, policy) for entry in ENTRIES for end, policy in ways if end != "cancel" or entry.is_async
        ]
        users = {(entry, end, policy): self.service.user(100_000_000) for entry, end, policy in combinations}
        plays = [
            Play(*combinations[number % len(combinations)], user=users[combinations[number % len(combinations)]])
            for number in range(streams)
        ]
        random.shuffle(plays)
        begun = time.monotonic()
        await self._play(plays, at_once)
        seconds = time.monotonic() - begun
        leaked = self.wait_for_leases(list(users.values()))
        print(f"\n{streams} streams in {seconds:.0f} s, {at_once} at once; {leaked} holds leaked after the lease\n")
        self.check(leaked == 0, f"{leaked} leaked holds")
        print("| call | end | policy | streams | doubled | lost | exact | worst difference | beyond 5 % |")
        print("|---|---|---|--:|--:|--:|--:|--:|--:|")
        for (entry, end, policy), user in users.items():
            own = [play for play in plays if play.user == user]
            if own:
                self._row(entry, end, policy, own)

    def _row(self, entry: Entry, end: str, policy: str, plays: list[Play]) -> None:
        records = self.records_by_call(plays[0].user)
        doubled = sum(len(records.get(play.call, [])) > 1 for play in plays)
        lost = sum(play.call not in records for play in plays)
        exact, differences = 0, [0.0]
        for play in plays:
            for record in records.get(play.call, [])[:1]:
                billed = self.provider.billed(play.call)
                cost = billed["inputTokens"] + billed["outputTokens"]
                difference = abs(record["credits"] - cost) / cost
                exact += record["credits"] == cost
                differences.append(difference)
                is_right = difference == 0 or record["usageSource"] == "estimated"
                self.check(is_right, f"{entry} {end}: charged {record['credits']}, billed {cost}")
        beyond = sum(difference > TOLERANCE for difference in differences)
        self.check(doubled == 0, f"{entry} {end}: {doubled} doubled settlements")
        self.check(lost == 0, f"{entry} {end}: {lost} lost settlements")
        self.check(beyond == 0, f"{entry} {end} {policy}: {beyond} charges differ by more than {TOLERANCE:.0%}")
        print(
            f"| {entry} | {end} | {policy} | {len(plays)} | {doubled} | {lost} | {exact} "
            f"| {max(differences):.1%} | {beyond} |"
        )

    async def _play(self, plays: list[Play], at_once: int) -> None:
        policies = {policy: {"openai": policy, "anthropic": policy} for policy in ("estimate", "drain")}
        accountings = {
            (is_async, policy): self.accounting(is_async, "shared-connection", on_leave=on_leave, on_error=self._report)
            for is_async in (False, True)
            for policy, on_leave in policies.items()
        }
        originals = {entry: entry.client(self.provider) for entry in ENTRIES}
        # The SDKs load their models with the first call, and estimates learn from calls that came to their end.
        for entry in ENTRIES:
            user = self.service.user()
            await self._one(
                Play(entry, "end", "estimate", user), accountings[entry.is_async, "estimate"], originals[entry]
            )
        free = asyncio.Semaphore(at_once // 2)
        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(at_once // 2)

        async def play_async(play: Play) -> None:
            async with free:
                await self._one(play, accountings[True, play.policy], originals[play.entry])

        def play_sync(play: Play) -> None:
            asyncio.run(self._one(play, accountings[False, play.policy], originals[play.entry]))

        await asyncio.gather(
            *(
                play_async(play) if play.entry.is_async else loop.run_in_executor(threads, play_sync, play)
                for play in plays
            )
        )
        for accounting in accountings.values():
            if isinstance(accounting, AsyncAccounting):
                await accounting.drain(20)
            await accounting.close() if isinstance(accounting, AsyncAccounting) else accounting.close()
        for original in originals.values():
            await original.close() if isinstance(original, ASYNC_CLIENTS) else original.close()

    async def _one(self, play: Play, accounting: Any, original: Any) -> None:
        own = accounting.for_(user_id=play.user, tags={"call": play.call})
        module = play.entry.errors
        reading = Reading(play.entry, module.metered(original, accounting=own), prompt=PROMPT, **play.scenario)
        leaves = play.end in LEAVES
        with contextlib.suppress(ConsumerError, play.entry.library.APIError, RuntimeError, *HTTP_ERRORS):
            await reading.to(play.end if leaves else "end", after=random.randrange(1, TOKENS) if leaves else 0)

    def _report(self, error: Exception) -> None:
        self.problems.append(f"on_error: {error}")

    # A client that is killed, an accounting service that is down, a provider that is down.

    def kills(self) -> None:
        users = [self.service.user() for _ in range(20)]
        for user in users:
            arguments = [self.service.url, self.service.key, user, self.provider.url, OPENAI_MODEL]
            process = subprocess.Popen([sys.executable, "-c", STREAMING, *arguments], stdout=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.random())
            process.send_signal(signal.SIGKILL)
            process.wait()
        leaked = self.wait_for_leases(users)
        records = [len(self.service.records(user)) for user in users]
        self.check(leaked == 0, f"{leaked} holds leaked after kill -9")
        self.check(records == [5] * len(users), f"records after kill -9: {records}")
        print(
            f"\nkill -9 of 20 clients with 5 streams each: {leaked} leaked holds, {sum(records)} records of 100 calls"
        )

    def outage(self, seconds: float) -> None:
        user = self.service.user()
        calls: list[str] = []
        with tempfile.TemporaryDirectory() as directory:
            fail_open = FailOpen(1_000_000, Path(directory) / "spool")
            accounting = self.accounting(False, user, fail_open=fail_open, timeout=1, on_error=lambda error: None)
            client = openai.OpenAI(base_url=f"{self.provider.url}/v1", api_key="test")
            ends = time.monotonic() + seconds + 4

            def chat() -> None:
                while time.monotonic() < ends:
                    call = new_id()
                    calls.append(call)
                    own = accounting.for_(user_id=user, tags={"call": call})
                    reading = Reading(ENTRIES[0], metered(client, accounting=own), id=call, tokens=50, everyMs=5)
                    asyncio.run(reading.to("end"))

            threads = [threading.Thread(target=chat) for _ in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(2)
            self.service.pause()
            time.sleep(seconds)
            self.service.resume()
            for thread in threads:
                thread.join()
            end = time.monotonic() + 60
            while accounting._core.outbox._entries and time.monotonic() < end:
                time.sleep(0.1)
            accounting.close()
        leaked = self.wait_for_leases([user])
        records = self.records_by_call(user)
        wrong = sum(
            [record["credits"] for record in records.get(call, [])] != [_cost(self.provider.billed(call))]
            for call in calls
        )
        self.check(leaked == 0 and wrong == 0, f"outage: {leaked} leaked holds, {wrong} wrong charges")
        print(
            f"\naccounting down for {seconds:.0f} s, {len(calls)} calls: {leaked} leaked holds, {wrong} wrong charges"
        )

    def provider_down(self) -> None:
        user = self.service.user()
        with self.accounting(False, user) as accounting:
            down = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="test", max_retries=1)
            client = metered(down, accounting=accounting)
            for _ in range(50):
                with contextlib.suppress(openai.APIConnectionError):
                    client.chat.completions.create(model=OPENAI_MODEL, messages=[], stream=True)
        held, balance = self.service.held(user), self.service.balance(user)
        self.check((held, balance) == (0, 1_000_000), f"provider down: {held} held, {balance} left")
        print(f"\nprovider down for 50 calls: {held} credits held, {1_000_000 - balance} charged")

    # What it costs.

    def overhead(self) -> None:
        user = self.service.user(100_000_000)
        plain = openai.OpenAI(base_url=f"{self.provider.url}/v1", api_key="test")
        with self.accounting(False, user) as accounting:
            client = metered(plain, accounting=accounting)
            figures: dict[str, list[float]] = {"plain": [], "metered": [], "hold": []}
            post, holds = accounting._sender.post, []

            async def timed_post(identity: Identity, path: str, body: dict[str, Any]) -> Answer:
                begun = time.perf_counter()
                answer: Answer = await post(identity, path, body)
                holds.append(time.perf_counter() - begun)
                return answer

            accounting._sender.post = timed_post
            for number in range(-20, 300):
                holds.clear()
                taken = {"plain": _first_token(plain), "metered": _first_token(client), "hold": holds[0]}
                for name, seconds in taken.items():
                    if number >= 0:
                        figures[name].append(seconds * 1000)
            medians = {name: statistics.median(values) for name, values in figures.items()}
            added = medians["metered"] - medians["plain"]
            print("\n| p50 in ms, 300 calls by turns | |\n|---|--:|")
            print(f"| first token without metering | {medians['plain']:.2f} |")
            print(f"| first token with metering | {medians['metered']:.2f} |")
            print(f"| added | {added:.2f} |\n| the round trip of the hold in it | {medians['hold']:.2f} |")
            is_one = added <= medians["hold"] * 1.1
            self.check(is_one, f"metering adds {added:.2f} ms, its hold takes {medians['hold']:.2f} ms")
            chunks = {name: _per_chunk(given) for name, given in (("plain", plain), ("metered", client))}
            print(f"| a chunk, without and with, in µs | {chunks['plain']:.1f}, {chunks['metered']:.1f} |")
            copies = _timed(lambda: [metered(plain, accounting=accounting) for _ in range(1000)])
            print(f"| `metered(client)`, in µs | {copies * 1000:.0f} |")


ASYNC_CLIENTS = (openai.AsyncOpenAI, anthropic.AsyncAnthropic)
HTTP_ERRORS: tuple[type[Exception], ...] = ()
with contextlib.suppress(ImportError):
    import httpx2

    HTTP_ERRORS = (httpx2.HTTPError,)

STREAMING = """
import sys, threading, time
import openai
from llm_accounting import Accounting
from llm_accounting._connection import Answer
from llm_accounting.openai import metered
from llm_accounting.options import Identity
url, key, user, provider, model = sys.argv[1:]
client = metered(openai.OpenAI(base_url=provider + "/v1", api_key="test"),
                 accounting=Accounting(url, internal_api_key=key, user_id=user))
streams = [client.chat.completions.create(model=model, messages=[], max_tokens=900, stream=True,
           extra_headers={"x-fake": '{"tokens": 900, "everyMs": 5, "goOn": false}'}) for _ in range(5)]
for stream in streams:
    threading.Thread(target=list, args=(stream,)).start()
print("ready", flush=True)
"""


def _cost(billed: Any) -> Any:
    return billed["inputTokens"] + billed["outputTokens"]


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _first_token(client: openai.OpenAI) -> float:
    def first() -> None:
        stream = client.chat.completions.create(
            model=OPENAI_MODEL,
            messages=[{"role": "user", "content": "what is new"}],
            max_tokens=1,
            stream=True,
            extra_headers={"x-fake": '{"tokens": 1}'},
        )
        chunks: Iterator[Any] = iter(stream)
        while not next(chunks).choices[0].delta.content:
            pass
        rest.append(chunks)

    rest: list[Iterator[Any]] = []
    seconds = _timed(first)
    # The rest, and the settlement, are not part of it.
    list(rest[0])
    return seconds


def _per_chunk(client: openai.OpenAI) -> float:
    def read() -> None:
        stream = client.chat.completions.create(
            model=OPENAI_MODEL,
            messages=[{"role": "user", "content": "what is new"}],
            max_tokens=6000,
            stream=True,
            extra_headers={"x-fake": '{"tokens": 5000, "firstMs": 0}'},
        )
        for _ in stream:
            pass

    return min(_timed(read) for _ in range(3)) / 5000 * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=600)
    parser.add_argument("--at-once", type=int, default=60)
    parser.add_argument("--outage-seconds", type=float, default=60)
    parser.add_argument("--only", default="endings,kills,outage,provider,overhead")
    options = parser.parse_args()
    parts = options.only.split(",")
    if not provide_tables():
        print("tiktoken has no tables here: OpenAI's prompts are counted by the estimate")
    with Service("--lease", str(LEASE_SECONDS), "--sweep", "1") as service, Provider() as provider:
        service.set_prices()
        proof = Proof(service, provider)
        if "endings" in parts:
            asyncio.run(proof.endings(options.streams, options.at_once))
        if "kills" in parts:
            proof.kills()
        if "outage" in parts:
            proof.outage(options.outage_seconds)
        if "provider" in parts:
            proof.provider_down()
        if "overhead" in parts:
            proof.overhead()
        audit = service.get("/credits/audit")
        proof.check(audit["differences"] == [], f"audit: {audit}")
    print("\n" + "\n".join(proof.problems[:50]) if proof.problems else "\nAll as it should be; the audit is clean.")
    return 1 if proof.problems else 0


if __name__ == "__main__":
    sys.exit(main())
