"""The chat service of the guide (docs/guides/chat-service.md), which passes the user's token on."""

import importlib
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from .support import OPENAI_MODEL, Provider, Service

CHAT = {"messages": [{"role": "user", "content": "what is new"}]}


@pytest.fixture
async def app(service: Service, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastAPI]:
    environment = {
        "ACCOUNTING_URL": service.url,
        "ACCOUNTING_KEY": service.key,
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        "OPENAI_API_KEY": "test",
        "MODEL": OPENAI_MODEL,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    example = importlib.import_module("examples.chat_service")
    yield example.app
    await example.accounting.close()
    del sys.modules["examples.chat_service"]


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        yield http


async def test_the_user_of_the_request_pays(http: httpx.AsyncClient, service: Service, user: str) -> None:
    response = await http.post("/chat", json=CHAT, headers={"Authorization": f"Bearer {service.token(user)}"})
    assert len(response.text.split()) == 50
    assert service.record(user)["userId"] == user


async def test_a_request_without_a_token_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.post("/chat", json=CHAT)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_user_without_credits_gets_a_402(http: httpx.AsyncClient, service: Service) -> None:
    user = service.user(1)
    response = await http.post("/chat", json=CHAT, headers={"Authorization": f"Bearer {service.token(user)}"})
    assert response.status_code == 402
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "credits.insufficient"


async def test_a_bad_token_is_the_services_401(http: httpx.AsyncClient) -> None:
    response = await http.post("/chat", json=CHAT, headers={"Authorization": "Bearer nonsense"})
    assert response.status_code == 401
    assert response.json()["code"] == "auth.invalid_token"
