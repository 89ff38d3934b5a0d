"""Metered clients of the `openai` package: chat completions and responses.

client = metered(OpenAI(), accounting=accounting)
"""

from __future__ import annotations

from typing import TypeVar

import openai

from . import errors
from ._readers import ChatReader, ResponsesReader
from ._sdk import Metering, metered_copy, sdk_error
from .accounting import Accounting, AsyncAccounting

C = TypeVar("C", bound=openai.OpenAI | openai.AsyncOpenAI)


class CreditsExhausted(errors.CreditsExhausted, openai.APIStatusError):
    """402"""

    __init__ = sdk_error(openai.APIStatusError)


class LimitExceeded(errors.LimitExceeded, openai.RateLimitError):
    """429"""

    __init__ = sdk_error(openai.RateLimitError)


class AccountingUnavailable(errors.AccountingUnavailable, openai.InternalServerError):
    """503"""

    __init__ = sdk_error(openai.InternalServerError)


def metered(client: C, *, accounting: Accounting | AsyncAccounting) -> C:
    """A copy of the client whose calls are paid by the account of `accounting`; the client itself stays as it is.

    It costs little: make one for each request, with `accounting.for_(user_id=...)`. Its calls raise the errors of this
    module, which are also the SDK's. Metered are chat completions and responses; everything else goes through as it is.

    Raises MisuseError for a client that is metered already.
    """
    readers = {"/chat/completions": ChatReader, "/responses": ResponsesReader}
    metering = Metering(accounting, readers, openai, _ERRORS)
    return metered_copy(client, metering, (openai.OpenAI,), (openai.AsyncOpenAI,))


_ERRORS = {
    errors.CreditsExhausted: CreditsExhausted,
    errors.LimitExceeded: LimitExceeded,
    errors.AccountingUnavailable: AccountingUnavailable,
}
