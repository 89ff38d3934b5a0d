"""The tables of OpenAI's tokenizer, where tiktoken cannot download them: from the package js-tiktoken beside us."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from llm_accounting import _tokens

RANKS = Path(__file__).parents[2] / "typescript/node_modules/js-tiktoken/dist/ranks/o200k_base.js"
ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"


def provide_tables() -> bool:
    """Whether `gpt-4o` has a tokenizer here."""
    if RANKS.exists() and "TIKTOKEN_CACHE_DIR" not in os.environ:
        directory = Path(tempfile.mkdtemp(prefix="tiktoken-"))
        (directory / hashlib.sha1(ADDRESS.encode()).hexdigest()).write_text(_tables())
        os.environ["TIKTOKEN_CACHE_DIR"] = str(directory)
    return _tokens.load("gpt-4o") is not None


def _tables() -> str:
    """In tiktoken's form, a token and its rank on each line; theirs has on each line the first rank, and tokens."""
    source = RANKS.read_text().removeprefix("export default ").rstrip().rstrip(";")
    lines = []
    for line in json.loads(source)["bpe_ranks"].split("\n"):
        if line:
            _, first, *tokens = line.split(" ")
            lines += [f"{token} {int(first) + number}" for number, token in enumerate(tokens)]
    return "".join(f"{line}\n" for line in lines)
