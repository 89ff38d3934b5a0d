"""How input is counted."""

from __future__ import annotations

from typing import Any

import pytest

from llm_accounting import _tokens
from llm_accounting._readers import ChatReader, MessagesReader, ResponsesReader


class Words:
    """A tokenizer in tiktoken's form: a token for each word."""

    def encode_ordinary(self, text: str) -> list[int]:
        return [0] * len(text.split())


def chat(**body: Any) -> ChatReader:
    return ChatReader({"model": "m", **body})


def test_texts_are_estimated_by_their_characters() -> None:
    assert chat(messages=[{"role": "user", "content": "x" * 400}]).input_tokens == 3 + 4 + 100
    parts = [{"type": "text", "text": "x" * 40}, {"type": "text", "text": "x" * 40}]
    assert chat(messages=[{"role": "user", "content": parts}]).input_tokens == 3 + 4 + 20
    assert ResponsesReader({"model": "m", "input": "x" * 40, "instructions": "x" * 8}).input_tokens == 3 + 10 + 2
    messages = {"model": "m", "system": "x" * 8, "messages": [{"role": "user", "content": "x" * 40}]}
    assert MessagesReader(messages).input_tokens == 3 + 2 + 4 + 10


def test_attachments_count_a_constant_and_not_their_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "x" * 100_000}}
    assert chat(messages=[{"role": "user", "content": [image]}]).input_tokens == 3 + 4 + _tokens.ATTACHMENT_TOKENS
    source = {"type": "base64", "media_type": "image/png", "data": "x" * 100_000}
    anthropic = {"model": "m", "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
    assert MessagesReader(anthropic).input_tokens == 3 + 4 + _tokens.ATTACHMENT_TOKENS


def test_tools_and_their_results_count() -> None:
    without = chat(messages=[]).input_tokens
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    assert chat(messages=[], tools=[tool]).input_tokens > without + 15
    called = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "x" * 400}}]}
    assert chat(messages=[called]).input_tokens > 100
    result = {"role": "user", "content": [{"type": "tool_result", "content": "x" * 400}]}
    assert MessagesReader({"model": "m", "messages": [result]}).input_tokens == 3 + 4 + 100


def test_a_tokenizer_counts_where_there_is_one() -> None:
    counter = _tokens.Counter("m")
    counter.encoding = Words()
    assert counter.prompt([{"role": "user", "content": "one two three"}]) == 4 + 3
    long = "word " * _tokens.LONGEST_TEXT
    assert counter.text(long) == len(long) / 4


def test_the_characters_of_a_token_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tokens, "_learned", {})
    _tokens.learn_rate("m", 500, 100)
    _tokens.learn_rate("m", 300, 100)
    # A text of which most was hidden is no sample.
    _tokens.learn_rate("m", 10, 1000)
    assert _tokens.characters_per_token("m") == 4.0
    assert _tokens.characters_per_token("other") == 4.0
    _tokens.learn_rate("m", 900_000, 200_000)
    assert 4.4 < _tokens.characters_per_token("m") < 4.6
    _tokens.learn_rate("m", 300_000, 100_000)
    assert _tokens.characters_per_token("m") < 4.2


def test_models_of_others_have_no_tokenizer() -> None:
    assert _tokens.tokenizer("claude-sonnet-4") is None
    assert _tokens.tokenizer("llama3") is None


def test_without_the_tokenizers_tables_the_estimate_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tokens, "_encodings", {})
    monkeypatch.setattr("tiktoken.get_encoding", lambda name: 1 / 0)
    assert _tokens.load("gpt-4o") is None
    assert _tokens.tokenizer("gpt-4o") is None
