from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anthropic
import openai
import pytest

from llm_accounting import Accounting, AsyncAccounting, Progress

from .support import Provider, Service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with Service() as service:
        service.set_prices()
        yield service


@pytest.fixture(scope="session")
def strict_service() -> Iterator[Service]:
    """It rejects models that have no price."""
    with Service("--env", "UNPRICED_MODEL_POLICY=reject") as service:
        yield service


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def user(service: Service) -> str:
    return service.user()


@pytest.fixture
def errors() -> list[Exception]:
    """What `on_error` was called with."""
    return []


@pytest.fixture
def accounting(service: Service, user: str, errors: list[Exception]) -> Iterator[Accounting]:
    with Accounting(
        service.url, internal_api_key=service.key, user_id=user, on_error=errors.append, progress=Progress(10, 5)
    ) as accounting:
        yield accounting


@pytest.fixture
async def async_accounting(service: Service, user: str, errors: list[Exception]) -> AsyncIterator[AsyncAccounting]:
    async with AsyncAccounting(
        service.url, internal_api_key=service.key, user_id=user, on_error=errors.append, progress=Progress(10, 5)
    ) as accounting:
        yield accounting


@pytest.fixture
def openai_client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="test") as client:
        yield client


@pytest.fixture
async def async_openai_client(provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="test") as client:
        yield client


@pytest.fixture
def anthropic_client(provider: Provider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=provider.url, api_key="test") as client:
        yield client


@pytest.fixture
async def async_anthropic_client(provider: Provider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="test") as client:
        yield client
