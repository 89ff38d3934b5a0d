"""The fields of the service's API that this client sends and reads. A test holds them against openapi.json."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

UsageSource = Literal["provider", "drained", "estimated"]
ServiceTier = Literal["standard", "batch", "flex", "priority"]


class Caller(TypedDict, total=False):
    userId: str
    accountId: str


class InitializeSession(Caller, total=False):
    sessionId: str
    modelId: str
    inputTokens: int
    maxOutputTokens: int
    tags: dict[str, str]


class SessionStarted(TypedDict):
    sessionId: str
    userId: str
    startedAt: str
    expiresAt: str
    allocatedCredits: int
    estimateSource: str
    maxAffordableTokens: int


class Progress(Caller, total=False):
    sessionId: str
    tokensGenerated: int


class SessionProgress(TypedDict):
    shouldStop: bool
    reason: str | None
    limits: list[dict[str, Any]]
    maxAffordableTokens: int


class Usage(TypedDict, total=False):
    """What a call used, in one of three forms, as finalize and charge take it."""

    provider: str
    usage: dict[str, Any]
    quantities: dict[str, int]
    inputTokens: int
    outputTokens: int
    cachedInputTokens: int
    serviceTier: ServiceTier
    usageSource: UsageSource


class FinalizeSession(Usage, Caller, total=False):
    sessionId: str
    success: bool


class AbortSession(Caller, total=False):
    sessionId: str
    tokensGenerated: int


class ChargeUsage(Usage, Caller, total=False):
    requestId: str
    modelId: str
    onInsufficient: Literal["review"]
    tags: dict[str, str]


class InsufficientCredits(TypedDict, total=False):
    code: str
    detail: str
    requiredCredits: int
    availableCredits: int
    maxAffordableTokens: int
    limits: list[dict[str, Any]]
