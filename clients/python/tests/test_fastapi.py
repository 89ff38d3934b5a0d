"""A chat route that passes the user's token on."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import openai
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse

from llm_accounting import AsyncAccounting
from llm_accounting.fastapi import answer_accounting_errors, user_accounting
from llm_accounting.openai import metered

from .support import OPENAI_MODEL, Provider, Service


@pytest.fixture
async def app(service: Service, provider: Provider) -> AsyncIterator[FastAPI]:
    accounting = AsyncAccounting(service.url, internal_api_key=service.key)
    client = openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="test")
    app = FastAPI()
    answer_accounting_errors(app)

    @app.post("/chat")
    async def chat(own: Annotated[AsyncAccounting, Depends(user_accounting(accounting))]) -> StreamingResponse:
        call: dict[str, Any] = {"model": OPENAI_MODEL, "messages": [{"role": "user", "content": "what is new"}]}
        stream = await metered(client, accounting=own).chat.completions.create(**call, stream=True)

        async def text() -> AsyncIterator[str]:
            async for chunk in stream:
                yield chunk.choices[0].delta.content or ""

        return StreamingResponse(text())

    yield app
    await accounting.close()


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        yield http


async def test_the_user_of_the_request_pays(http: httpx.AsyncClient, service: Service, user: str) -> None:
    response = await http.post("/chat", headers={"Authorization": f"Bearer {service.token(user)}"})
    assert len(response.text.split()) == 50
    assert service.record(user)["userId"] == user


async def test_a_request_without_a_token_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.post("/chat")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_user_without_credits_gets_a_402(http: httpx.AsyncClient, service: Service) -> None:
    user = service.user(1)
    response = await http.post("/chat", headers={"Authorization": f"Bearer {service.token(user)}"})
    assert response.status_code == 402
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "credits.insufficient"


async def test_a_bad_token_is_the_services_401(http: httpx.AsyncClient) -> None:
    response = await http.post("/chat", headers={"Authorization": "Bearer nonsense"})
    assert response.status_code == 401
    assert response.json()["code"] == "auth.invalid_token"
