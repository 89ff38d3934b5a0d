"""What an `Accounting` is made with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Token = str | Callable[[], str]
OnLeave = Literal["drain", "estimate"]


@dataclass(frozen=True)
class Progress:
    """When a running stream is reported: after so many tokens, or seconds, whichever comes first."""

    every_tokens: int = 200
    every_seconds: float = 5.0


@dataclass(frozen=True)
class FailOpen:
    """Lets calls through while the service cannot be reached.

    max_credits: how much the calls that were let through may cost together until the service has taken their
        settlements. A call counts with the price of the latest hold of its model, or `credits_per_call`.
    spool: a file for settlements. One process uses it at a time.
    """

    max_credits: int
    spool: str | os.PathLike[str]
    credits_per_call: int = 10


@dataclass(frozen=True)
class Identity:
    """Who calls and who pays."""

    user_id: str | None = None
    account_id: str | None = None
    token: Token | None = field(default=None, repr=False)
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Settings:
    base_url: str
    internal_api_key: str | None = field(repr=False)
    api_key: str | None = field(repr=False)
    timeout: float
    min_output_tokens: int
    max_output_tokens: int
    progress: Progress
    on_leave: Mapping[str, OnLeave]
    drain_seconds: float
    fail_open: FailOpen | None
    on_error: Callable[[Exception], None] | None
