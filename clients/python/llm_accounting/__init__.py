"""Client of the LLM accounting service: it stops a stream when the money is gone."""

from .accounting import Accounting, AsyncAccounting, AsyncSession, Session
from .errors import (
    AccountingError,
    AccountingUnavailable,
    CreditsExhausted,
    LimitExceeded,
    MisuseError,
    RequestRejected,
    SessionSettled,
    SpoolInUse,
    StreamConsumed,
)
from .options import FailOpen, Progress

__all__ = [
    "Accounting",
    "AccountingError",
    "AccountingUnavailable",
    "AsyncAccounting",
    "AsyncSession",
    "CreditsExhausted",
    "FailOpen",
    "LimitExceeded",
    "MisuseError",
    "Progress",
    "RequestRejected",
    "Session",
    "SessionSettled",
    "SpoolInUse",
    "StreamConsumed",
]
