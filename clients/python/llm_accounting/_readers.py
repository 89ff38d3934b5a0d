"""What of a provider's requests and answers concerns money. One reader for one call."""

from __future__ import annotations

import math
from typing import Any, cast

from ._api import ServiceTier, Usage
from ._tokens import Counter, learn_rate
from .errors import MisuseError

# The beginning of the answer.
PROMPT_TOKENS = 3
TIERS = ("batch", "flex", "priority")


class Reader:
    """Reads a request's limits, and counts what its answer shows until the provider's own usage arrives."""

    provider: str
    # The request's names for its maximum, the preferred one first.
    maximum_fields: tuple[str, ...]

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.model_id: str = body["model"]
        self.choices: int = 1
        self.counter = Counter(self.model_id)
        self.usage: dict[str, Any] | None = None
        # Whether the usage is that of the whole call, and whether the answer came to its own end.
        self.is_complete = False
        self.has_ended = False
        self.has_failed = False
        self.tier: str | None = None
        # Where the provider was given a maximum, it generates no more, whatever the estimate says.
        self.bound: int | None = None
        self._pieces: list[str] = []
        self._characters = 0

    @property
    def input_tokens(self) -> int:
        raise NotImplementedError

    @property
    def max_output_tokens(self) -> int | None:
        """Of one choice; None if the request names none."""
        given = [self.body[field] for field in self.maximum_fields if self.body.get(field) is not None]
        return min(given, default=None)

    def clamp(self, tokens: int) -> dict[str, Any]:
        """The request with a maximum of so many tokens for each choice."""
        given = [field for field in self.maximum_fields if self.body.get(field) is not None]
        return {**self.body, **dict.fromkeys(given or self.maximum_fields[:1], tokens)}

    @property
    def min_output_tokens(self) -> int:
        """Fewer make no sense for the request."""
        return 0

    def read(self, event: Any) -> bool:
        """Reads an event of a stream. Returns whether the consumer sees it."""
        raise NotImplementedError

    def read_whole(self, response: Any) -> None:
        """Reads an answer that was not streamed."""
        self._take_usage(response.usage)
        self.tier = getattr(response, "service_tier", None)
        self.has_ended = True

    def _take_usage(self, usage: Any) -> None:
        if usage is not None:
            self.usage = plain(usage)
            self.is_complete = True

    def _write(self, text: str | None) -> None:
        if text:
            self._pieces.append(text)
            self._characters += len(text)

    @property
    def output_tokens(self) -> int:
        """The running estimate. A piece has a token at least."""
        return self._bounded(max(len(self._pieces), math.ceil(self._characters / self.counter.rate)))

    def learn(self) -> None:
        """Learns the characters of a token from a text that was seen as a whole."""
        if self.usage is not None and self._characters > 0:
            learn_rate(self.model_id, self._characters, self.visible_tokens)

    @property
    def visible_tokens(self) -> int:
        """Output tokens of what could be seen, as the provider reported them; 0: that is not known."""
        usage = self.usage or {}
        details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
        total = usage.get("completion_tokens") or usage.get("output_tokens") or 0
        return int(total - (details.get("reasoning_tokens") or 0))

    def reported(self) -> Usage:
        """What the provider reported."""
        used: Usage = {"provider": self.provider, "usage": self.usage or {}}
        return self._with_tier(used)

    def estimated(self) -> Usage:
        """What was seen, where the provider reported nothing or not all."""
        used: Usage = {"inputTokens": self.input_tokens, "outputTokens": self._counted_output()}
        return self._with_tier(used)

    def _counted_output(self) -> int:
        if self.counter.encoding is None:
            return self.output_tokens
        return self._bounded(self.counter.text("".join(self._pieces)))

    def _bounded(self, tokens: int) -> int:
        return tokens if self.bound is None else min(tokens, self.bound)

    def _with_tier(self, used: Usage) -> Usage:
        if self.tier in TIERS:
            used["serviceTier"] = cast(ServiceTier, self.tier)
        return used


class ChatReader(Reader):
    """OpenAI's chat completions."""

    provider = "openai"
    maximum_fields = ("max_completion_tokens", "max_tokens")

    def __init__(self, body: dict[str, Any]) -> None:
        options = body.get("stream_options") or {}
        self._shows_usage = bool(options.get("include_usage"))
        if body.get("stream") and not self._shows_usage:
            body = {**body, "stream_options": {**options, "include_usage": True}}
        super().__init__(body)
        self.choices = body.get("n") or 1
        self._open_choices = self.choices

    @property
    def input_tokens(self) -> int:
        tools = self.body.get("tools") or self.body.get("functions")
        return PROMPT_TOKENS + self.counter.prompt(self.body.get("messages")) + self.counter.json(tools)

    def read(self, event: Any) -> bool:
        for choice in event.choices:
            delta = choice.delta
            self._write(delta.content)
            self._write(delta.refusal)
            # Of servers that speak OpenAI's format and show their reasoning.
            self._write(getattr(delta, "reasoning_content", None))
            for call in delta.tool_calls or ():
                if call.function is not None:
                    self._write(call.function.name)
                    self._write(call.function.arguments)
            if choice.finish_reason is not None:
                self._open_choices -= 1
                self.has_ended = self._open_choices <= 0
        if event.usage is None:
            return True
        self._take_usage(event.usage)
        # Some servers report with every chunk what was used so far.
        self.is_complete = self.has_ended
        self.tier = event.service_tier
        return self._shows_usage or bool(event.choices)


class ResponsesReader(Reader):
    """OpenAI's responses."""

    provider = "openai"
    maximum_fields = ("max_output_tokens",)

    def __init__(self, body: dict[str, Any]) -> None:
        if body.get("background"):
            raise MisuseError("A response in the background is not metered: make it with the original client")
        super().__init__(body)

    @property
    def input_tokens(self) -> int:
        prompt = [self.body.get("instructions") or "", self.body.get("input") or ""]
        return PROMPT_TOKENS + self.counter.prompt(prompt) + self.counter.json(self.body.get("tools"))

    def read(self, event: Any) -> bool:
        kind: str = event.type
        if kind.endswith(".delta"):
            delta = getattr(event, "delta", None)
            self._write(delta if isinstance(delta, str) else None)
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self.read_whole(event.response)
        elif kind == "error":
            self.has_failed = True
        return True

    def read_whole(self, response: Any) -> None:
        super().read_whole(response)
        self.has_failed = response.status in ("failed", "cancelled")


class MessagesReader(Reader):
    """Anthropic's messages."""

    provider = "anthropic"
    maximum_fields = ("max_tokens",)
    _has_thought = False

    @property
    def input_tokens(self) -> int:
        prompt = [self.body.get("system") or "", self.body.get("messages")]
        return PROMPT_TOKENS + self.counter.prompt(prompt) + self.counter.json(self.body.get("tools"))

    @property
    def min_output_tokens(self) -> int:
        """The budget for thinking must be below the maximum."""
        budget = (self.body.get("thinking") or {}).get("budget_tokens")
        return budget + 1 if budget else 0

    def read(self, event: Any) -> bool:
        if event.type == "content_block_delta":
            delta = event.delta
            for name in ("text", "thinking", "partial_json"):
                self._write(getattr(delta, name, None))
            # Thinking may be shown as a summary.
            self._has_thought = self._has_thought or delta.type == "thinking_delta"
        elif event.type == "message_start":
            self.usage = plain(event.message.usage)
            self.tier = self.usage.get("service_tier")
        elif event.type == "message_delta":
            # It has the counts of the whole message, but not all fields of the first.
            counts = {name: count for name, count in plain(event.usage).items() if count is not None}
            self.usage = {**(self.usage or {}), **counts}
            self.is_complete = True
        elif event.type == "message_stop":
            self.has_ended = True
        return True

    @property
    def visible_tokens(self) -> int:
        return 0 if self._has_thought else super().visible_tokens

    def read_whole(self, response: Any) -> None:
        super().read_whole(response)
        self.tier = (self.usage or {}).get("service_tier")

    def estimated(self) -> Usage:
        if self.usage is None:
            return super().estimated()
        # The first event has the true input.
        usage = {**self.usage, "output_tokens": max(self.output_tokens, self.usage.get("output_tokens") or 0)}
        return self._with_tier({"provider": self.provider, "usage": usage})


def plain(usage: Any) -> dict[str, Any]:
    """A usage object as the provider sent it."""
    return dict(usage) if isinstance(usage, dict) else usage.to_dict(mode="json")
