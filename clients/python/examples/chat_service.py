"""Run it with `uvicorn chat_service:app`."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

from llm_accounting import AsyncAccounting
from llm_accounting.fastapi import answer_accounting_errors, user_accounting
from llm_accounting.openai import CreditsExhausted, metered

accounting = AsyncAccounting(os.environ["ACCOUNTING_URL"], internal_api_key=os.environ["ACCOUNTING_KEY"])
MODEL = os.environ.get("MODEL", "gpt-4o-mini")
provider = AsyncOpenAI()  # with OPENAI_API_KEY
app = FastAPI()
# 401, 402, 429 and 503 in the form of the accounting service's own errors.
answer_accounting_errors(app)


class Chat(BaseModel):
    messages: list[dict[str, Any]]


@app.post("/chat")
async def chat(body: Chat, own: Annotated[AsyncAccounting, Depends(user_accounting(accounting))]) -> StreamingResponse:
    """The user whose token the request carries pays for the call."""
    client = metered(provider, accounting=own)
    call: dict[str, Any] = {"model": MODEL, "messages": body.messages}
    stream = await client.chat.completions.create(**call, stream=True)

    async def text() -> AsyncIterator[str]:
        try:
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""
        except CreditsExhausted as error:
            yield f"\n[stopped: {error.code}]"

    return StreamingResponse(text(), media_type="text/plain")
