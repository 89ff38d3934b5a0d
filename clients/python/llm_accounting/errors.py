"""What can go wrong. The modules for `openai` and `anthropic` have subclasses that are also errors of those SDKs."""

from __future__ import annotations

from typing import Any


class AccountingError(Exception):
    """Base of all errors of this package.

    `code` is the stable code of the service (`credits.insufficient`), or `client.…` where this client refuses, `status`
    the HTTP status or None, and `problem` the service's whole answer.
    """

    default_code: str | None = None

    def __init__(self, message: str, *, status: int | None = None, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.problem: dict[str, Any] = problem or {}
        self.code: str | None = self.problem.get("code", self.default_code)


class CreditsExhausted(AccountingError):
    """402: balance or budgets do not cover the call, or do not cover it any longer.

    `limits` are the budgets that stand in the way, `max_affordable_tokens` the tokens that could still be paid for.
    If a running stream was stopped, `usage` is what it is charged for and `generated_tokens` what it generated, both
    estimates; otherwise they are None.
    """

    def __init__(self, message: str, *, status: int = 402, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message, status=status, problem=problem)
        self.limits: list[dict[str, Any]] = self.problem.get("limits") or []
        self.max_affordable_tokens: int | None = self.problem.get("maxAffordableTokens")
        self.required_credits: int | None = self.problem.get("requiredCredits")
        self.available_credits: int | None = self.problem.get("availableCredits")
        self.usage: dict[str, Any] | None = None
        self.generated_tokens: int | None = None


class LimitExceeded(AccountingError):
    """429: a limit of tokens, requests or sessions is reached. `retry_after`: seconds, or None."""

    def __init__(
        self, message: str, *, problem: dict[str, Any] | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, status=429, problem=problem)
        self.limits: list[dict[str, Any]] = self.problem.get("limits") or []
        self.max_affordable_tokens: int | None = self.problem.get("maxAffordableTokens")
        self.retry_after = retry_after


class AccountingUnavailable(AccountingError):
    """The service did not answer in time, or not at all, or answered that it cannot work now."""

    default_code = "client.unavailable"


class RequestRejected(AccountingError):
    """The service rejected a request for another reason: an unknown model, a used session id, a wrong key."""


class MisuseError(AccountingError):
    """The client was used in a way that cannot be metered. Nothing was sent to a provider."""

    default_code = "client.misuse"


class SessionSettled(MisuseError):
    """The session was settled already. Nothing was sent."""

    default_code = "client.session_settled"


class StreamConsumed(MisuseError):
    """The stream was read or left already, and has been settled for that. Nothing was settled again."""

    default_code = "client.stream_read"


class SpoolInUse(MisuseError):
    """Another process uses the spool file."""

    default_code = "client.spool_in_use"
