"""Every way into a metered SDK that streams, and every way in which a consumer may end it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai

import llm_accounting.anthropic
import llm_accounting.openai

from .support import ANTHROPIC_MODEL, OPENAI_MODEL, Provider, fake

PROMPT = "what is new in the world, and what may we do with it today"


class ConsumerError(Exception):
    """What a consumer throws in the middle of a stream."""


@dataclass(frozen=True)
class Entry:
    """`sdk` is openai or anthropic, `method` what is called, `is_helper` whether it is the SDK's `stream()`."""

    sdk: str
    method: str
    is_helper: bool
    is_async: bool

    def __str__(self) -> str:
        return f"{'async ' if self.is_async else ''}{self.method}{'.stream()' if self.is_helper else ''}"

    def client(self, provider: Provider, **options: Any) -> Any:
        options = {"api_key": "test", "max_retries": 0, **options}
        if self.sdk == "openai":
            kind: Any = openai.AsyncOpenAI if self.is_async else openai.OpenAI
            return kind(base_url=f"{provider.url}/v1", **options)
        kind = anthropic.AsyncAnthropic if self.is_async else anthropic.Anthropic
        return kind(base_url=provider.url, **options)

    def metered(self, provider: Provider, accounting: Any, **options: Any) -> Any:
        module: Any = llm_accounting.openai if self.sdk == "openai" else llm_accounting.anthropic
        return module.metered(self.client(provider, **options), accounting=accounting)

    @property
    def errors(self) -> Any:
        return llm_accounting.openai if self.sdk == "openai" else llm_accounting.anthropic

    @property
    def library(self) -> Any:
        return openai if self.sdk == "openai" else anthropic

    @property
    def model(self) -> str:
        return OPENAI_MODEL if self.sdk == "openai" else ANTHROPIC_MODEL

    def open(
        self,
        client: Any,
        max_tokens: int | None,
        scenario: dict[str, Any],
        *,
        stream: bool = True,
        prompt: str = PROMPT,
    ) -> Any:
        """The call itself; a coroutine in the asynchronous client, a context manager for helpers."""
        limit = {"chat": "max_completion_tokens", "responses": "max_output_tokens", "messages": "max_tokens"}
        arguments: dict[str, Any] = {"model": self.model, **fake(**scenario)}
        if self.method == "responses":
            arguments["input"] = prompt
        else:
            arguments["messages"] = [{"role": "user", "content": prompt}]
        if max_tokens is not None:
            arguments[limit[self.method]] = max_tokens
        resource = {
            "chat": lambda: client.chat.completions,
            "responses": lambda: client.responses,
            "messages": lambda: client.messages,
        }[self.method]()
        if self.is_helper:
            return resource.stream(**arguments)
        return resource.create(**arguments, stream=stream)

    def text(self, event: Any) -> str:
        if self.method == "chat" and self.is_helper:
            return event.delta if event.type == "content.delta" else ""
        if self.method == "chat":
            return (event.choices[0].delta.content or "") if event.choices else ""
        if self.method == "responses":
            return event.delta if event.type == "response.output_text.delta" else ""
        return event.delta.text if event.type == "content_block_delta" and event.delta.type == "text_delta" else ""


ENTRIES = [
    Entry(sdk, method, is_helper, is_async)
    for sdk, method in (("openai", "chat"), ("openai", "responses"), ("anthropic", "messages"))
    for is_helper in (False, True)
    for is_async in (False, True)
]
PLAIN = [entry for entry in ENTRIES if not entry.is_helper]

# How a consumer ends a stream, besides reading it to its end.
LEAVES = ("break", "close", "throw", "forget", "cancel")


class Reading:
    """Reads one stream, and remembers what was delivered."""

    def __init__(
        self, entry: Entry, client: Any, *, max_tokens: int | None = 1000, prompt: str = PROMPT, **scenario: Any
    ) -> None:
        self.entry = entry
        self.client = client
        self.max_tokens = max_tokens
        self.prompt = prompt
        self.scenario = scenario
        self.text = ""
        self.tokens = 0
        self.on_token: Callable[[int], None] = lambda tokens: None

    async def to(self, end: str = "end", after: int = 0) -> None:
        """Ends after so many tokens. What the stream, or the consumer, raises is raised here."""
        if not self.entry.is_async:
            self._read(end, after)
        elif end == "cancel":
            await self._cancel(after)
        else:
            await self._read_async(end, after)
        # An asynchronous generator that was left is closed by the loop.
        await asyncio.sleep(0.01)

    def _see(self, event: Any) -> None:
        text = self.entry.text(event)
        if text:
            self.text += text
            self.tokens += 1
            self.on_token(self.tokens)

    def _read(self, end: str, after: int) -> None:
        opened = self.entry.open(self.client, self.max_tokens, self.scenario, prompt=self.prompt)
        if isinstance(opened, AbstractContextManager) and self.entry.is_helper:
            with opened as stream:
                self._loop(stream, end, after)
        else:
            self._loop(opened, end, after)

    def _loop(self, stream: Any, end: str, after: int) -> None:
        if end in ("forget", "cancel"):
            while self.tokens < after:
                self._see(next(stream))
            return
        for event in stream:
            self._see(event)
            if end != "end" and self.tokens >= after:
                if end == "throw":
                    raise ConsumerError
                if end == "close":
                    stream.close()
                return

    async def _read_async(self, end: str, after: int) -> None:
        opened = self.entry.open(self.client, self.max_tokens, self.scenario, prompt=self.prompt)
        if self.entry.is_helper:
            async with opened as stream:
                await self._loop_async(stream, end, after)
        else:
            await self._loop_async(await opened, end, after)

    async def _loop_async(self, stream: Any, end: str, after: int) -> None:
        if end == "forget":
            while self.tokens < after:
                self._see(await stream.__anext__())
            return
        async for event in stream:
            self._see(event)
            if end != "end" and self.tokens >= after:
                if end == "throw":
                    raise ConsumerError
                if end == "close":
                    await stream.close()
                return

    async def _cancel(self, after: int) -> None:
        task = asyncio.ensure_future(self._read_async("end", 0))
        while self.tokens < after and not task.done():
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
