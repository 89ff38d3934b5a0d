"""FastAPI: the user who sends a request pays for its calls.

UserAccounting = Annotated[AsyncAccounting, Depends(user_accounting(accounting))]
answer_accounting_errors(app)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from .accounting import Accounting, AsyncAccounting
from .errors import AccountingError, LimitExceeded

A = TypeVar("A", Accounting, AsyncAccounting)


def user_accounting(accounting: A) -> Callable[[Request], A]:
    """A dependency: `accounting` for the user whose token the request has. The service verifies the token.

    A request without a token is answered 401.
    """

    def for_user(request: Request) -> A:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise HTTPException(401, "A bearer token is required", {"WWW-Authenticate": "Bearer"})
        return accounting.for_(token=token.strip())

    return for_user


def answer_accounting_errors(app: FastAPI) -> None:
    """Answers errors of this package with their status (402, 429, 503) and the service's problem document."""

    def answer(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AccountingError)
        status = error.status or 503
        retry_after = error.retry_after if isinstance(error, LimitExceeded) else None
        return JSONResponse(
            error.problem or {"status": status, "detail": error.message},
            status,
            {} if retry_after is None else {"Retry-After": str(int(retry_after))},
            "application/problem+json",
        )

    app.add_exception_handler(AccountingError, answer)
