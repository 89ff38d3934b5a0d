"""How many tokens a text has: by OpenAI's tokenizer where `tiktoken` is installed and has the model, otherwise an estimate."""

from __future__ import annotations

import json
import math
import threading
from typing import Any

# The estimate: characters a token of a prompt, and of English prose as models write it.
CHARACTERS_PER_TOKEN = 4
WRITTEN_CHARACTERS_PER_TOKEN = 4.5
# For each message, and for what cannot be counted: an image in low resolution, a sound, a file.
MESSAGE_TOKENS = 4
ATTACHMENT_TOKENS = 85
# Longer texts are estimated, so that counting takes milliseconds.
LONGEST_TEXT = 100_000

_OPENAI_MODELS = ("gpt-", "o1", "o3", "o4", "chatgpt-")
_encodings: dict[str, Any] = {}
_lock = threading.Lock()


def load(model: str) -> Any:
    """The tokenizer of a model, or None. It may be downloaded, which takes seconds."""
    with _lock:
        name = _encoding_name(model)
        if name not in _encodings or _encodings[name] is Ellipsis:
            try:
                import tiktoken

                _encodings[name] = tiktoken.get_encoding(name)
            except Exception:
                # It is not installed, or cannot be downloaded here: the estimate remains.
                _encodings[name] = None
        return _encodings[name]


def _encoding_name(model: str) -> str:
    try:
        import tiktoken

        return tiktoken.encoding_name_for_model(model)
    except (ImportError, KeyError):
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


def count_text(text: str, encoding: Any) -> int:
    if encoding is None or len(text) > LONGEST_TEXT:
        return math.ceil(len(text) / CHARACTERS_PER_TOKEN)
    return len(encoding.encode_ordinary(text))


def count_input(content: Any, encoding: Any) -> int:
    """The tokens of a prompt in any form: a text, messages, their parts; attachments count a constant."""
    if isinstance(content, str):
        return count_text(content, encoding)
    if isinstance(content, (list, tuple)):
        return sum(count_input(item, encoding) for item in content)
    if not isinstance(content, dict):
        return 0
    kind = str(content.get("type", ""))
    if any(word in kind for word in ("image", "audio", "file", "document")):
        return ATTACHMENT_TOKENS
    tokens = MESSAGE_TOKENS if "role" in content else 0
    for name, value in content.items():
        if name in ("content", "text", "output", "thinking", "arguments", "name"):
            tokens += count_input(value, encoding)
        elif name in ("tool_calls", "function_call", "input", "function"):
            tokens += count_json(value, encoding)
    return tokens


def count_json(value: Any, encoding: Any) -> int:
    return count_text(json.dumps(value, default=str), encoding) if value else 0
