"""How many tokens a text has.

OpenAI's tokenizer counts, where `tiktoken` is installed and has the model. Otherwise it is an estimate by characters.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from typing import Any

tiktoken: Any = None
with contextlib.suppress(ImportError):
    import tiktoken

# The estimate, until calls of the model have reported how many tokens their text had.
CHARACTERS_PER_TOKEN = 4.0
# Rates beyond these are no text's: part of it was hidden.
CREDIBLE_RATES = (1.0, 8.0)
# Of a model, before what was learned weighs half.
LEARNED_TOKENS = 100_000
MAXIMUM_MODELS = 1000
# For each message, and for what cannot be counted: an image in low resolution, a sound, a file.
MESSAGE_TOKENS = 4
ATTACHMENT_TOKENS = 85
# Longer texts are estimated, so that counting takes milliseconds.
LONGEST_TEXT = 100_000

_OPENAI_MODELS = ("gpt-", "o1", "o3", "o4", "chatgpt-")
_encodings: dict[str, Any] = {}
_lock = threading.Lock()


# By model: characters and tokens.
_learned: dict[str, tuple[float, float]] = {}


def learn_rate(model: str, characters: int, tokens: int) -> None:
    """Learns from a text whose tokens the provider has reported."""
    least, most = CREDIBLE_RATES
    if tokens == 0 or not least <= characters / tokens <= most:
        return
    known = _learned.get(model)
    if known is None and len(_learned) >= MAXIMUM_MODELS:
        return
    known_characters, known_tokens = known or (0, 0)
    weight = 0.5 if known_tokens > LEARNED_TOKENS else 1
    _learned[model] = (known_characters * weight + characters, known_tokens * weight + tokens)


def characters_per_token(model: str) -> float:
    characters, tokens = _learned.get(model, (CHARACTERS_PER_TOKEN, 1))
    return characters / tokens


def load(model: str) -> Any:
    """The tokenizer of a model, or None. It may be downloaded, which takes seconds."""
    with _lock:
        name = _encoding_name(model)
        if name not in _encodings or _encodings[name] is Ellipsis:
            try:
                _encodings[name] = tiktoken.get_encoding(name)
            except Exception:
                # It is not installed, or its tables cannot be downloaded here: the estimate remains.
                _encodings[name] = None
        return _encodings[name]


def _encoding_name(model: str) -> str:
    try:
        return str(tiktoken.encoding_name_for_model(model))
    except (AttributeError, KeyError):
        return "o200k_base"


def tokenizer(model: str) -> Any:
    """The same without waiting: None until it is loaded."""
    if not model.startswith(_OPENAI_MODELS):
        return None
    name = _encoding_name(model)
    if name not in _encodings:
        _encodings[name] = Ellipsis
        threading.Thread(target=load, args=(model,), daemon=True).start()
    encoding = _encodings[name]
    return None if encoding is Ellipsis else encoding


class Counter:
    """Counts for one model."""

    def __init__(self, model: str) -> None:
        self.encoding = tokenizer(model)
        self.rate = characters_per_token(model)

    def text(self, text: str) -> int:
        if self.encoding is None or len(text) > LONGEST_TEXT:
            return math.ceil(len(text) / self.rate)
        return len(self.encoding.encode_ordinary(text))

    def json(self, value: Any) -> int:
        return self.text(json.dumps(value, default=str)) if value else 0

    def prompt(self, content: Any) -> int:
        """The tokens of a prompt in any form: a text, messages, their parts; attachments count a constant."""
        if isinstance(content, str):
            return self.text(content)
        if isinstance(content, (list, tuple)):
            return sum(self.prompt(item) for item in content)
        if not isinstance(content, dict):
            return 0
        kind = str(content.get("type", ""))
        if any(word in kind for word in ("image", "audio", "file", "document")):
            return ATTACHMENT_TOKENS
        tokens = MESSAGE_TOKENS if "role" in content else 0
        for name, value in content.items():
            if name in ("content", "text", "output", "thinking", "arguments", "name"):
                tokens += self.prompt(value)
            elif name in ("tool_calls", "function_call", "input", "function"):
                tokens += self.json(value)
        return tokens
