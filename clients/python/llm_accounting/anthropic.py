"""Metered clients of the `anthropic` package: messages.

client = metered(Anthropic(), accounting=accounting)
"""

from __future__ import annotations

from typing import TypeVar

import anthropic

from . import errors
from ._readers import MessagesReader
from ._sdk import Metering, metered_copy, sdk_error
from .accounting import Accounting, AsyncAccounting

C = TypeVar("C", bound=anthropic.Anthropic | anthropic.AsyncAnthropic)


class CreditsExhausted(errors.CreditsExhausted, anthropic.APIStatusError):
    """402"""

    __init__ = sdk_error(anthropic.APIStatusError)


class LimitExceeded(errors.LimitExceeded, anthropic.RateLimitError):
    """429"""

    __init__ = sdk_error(anthropic.RateLimitError)


class AccountingUnavailable(errors.AccountingUnavailable, anthropic.InternalServerError):
    """503"""

    __init__ = sdk_error(anthropic.InternalServerError)


def metered(client: C, *, accounting: Accounting | AsyncAccounting) -> C:
    """A copy of the client whose calls are paid by the account of `accounting`; the client itself stays as it is.

    It costs little: make one for each request, with `accounting.for_(user_id=...)`. Its calls raise the errors of this
    module, which are also the SDK's. Messages are metered; everything else, such as batches, goes through unmetered.

    Raises MisuseError for a client that is metered already.
    """
    metering = Metering(accounting, {"/v1/messages": MessagesReader}, anthropic, _ERRORS)
    return metered_copy(client, metering, (anthropic.Anthropic,), (anthropic.AsyncAnthropic,))


_ERRORS = {
    errors.CreditsExhausted: CreditsExhausted,
    errors.LimitExceeded: LimitExceeded,
    errors.AccountingUnavailable: AccountingUnavailable,
}
