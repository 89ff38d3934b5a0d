"""The real service, the fake provider, and what tests ask of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

TESTING = Path(__file__).parents[2] / "testing"
OPENAI_MODEL = "gpt-4o-priced-by-token"
ANTHROPIC_MODEL = "claude-priced-by-token"


class Process:
    """A program of clients/testing, which prints one line of JSON when it is ready."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            ["node", str(TESTING / program), *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{program} did not start"
        self.facts: dict[str, Any] = json.loads(line)
        self.url: str = self.facts["url"]

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def __enter__(self: Any) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Provider(Process):
    def __init__(self, port: int = 0) -> None:
        super().__init__("provider.js", "--port", str(port))
        self._http = httpx.Client(base_url=self.url)

    def billed(self, call_id: str) -> Any:
        """What the calls with this id cost; None if there was none."""
        response = self._http.get(f"/billed/{call_id}")
        return response.json() if response.status_code == 200 else None


class Service(Process):
    """Each token of the two models costs 1 credit, so that credits and tokens are the same number."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("service.js", *arguments)
        self.key: str = self.facts["internalApiKey"]
        self.secret: str = self.facts["jwtSecret"]
        self.pid: int = self.facts["pid"]
        token = {"Authorization": f"Bearer {self.facts['adminToken']}"}
        self.admin = httpx.Client(base_url=f"{self.url}/api", headers=token, timeout=30)

    def set_prices(self) -> None:
        for model in (OPENAI_MODEL, ANTHROPIC_MODEL):
            prices = dict.fromkeys(
                (
                    "pricePerThousandInputTokens",
                    "pricePerThousandOutputTokens",
                    "pricePerThousandCachedInputTokens",
                    "pricePerThousandTokens",
                ),
                "1000",
            )
            rule = {"modelId": model, **prices}
            self.post("/pricing", rule)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        response = self.admin.post(path, json=body)
        assert response.is_success, response.text
        return response.json()

    def get(self, path: str, **query: Any) -> Any:
        response = self.admin.get(path, params=query)
        assert response.is_success, response.text
        return response.json()

    def user(self, credits: int = 1_000_000) -> str:
        user_id = f"user-{uuid.uuid4().hex[:12]}"
        self.post("/credits/allocate", {"userId": user_id, "credits": max(credits, 1)})
        return user_id

    def token(self, user_id: str) -> str:
        """A user's access token."""

        def part(content: Any) -> str:
            return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

        now = int(time.time())
        claims = {"sub": user_id, "username": user_id, "email": f"{user_id}@example.com", "role": "user"}
        content = (
            f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({**claims, 'type': 'access', 'iat': now, 'exp': now + 900})}"
        )
        signature = hmac.new(self.secret.encode(), content.encode(), hashlib.sha256).digest()
        return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    def balance(self, user_id: str) -> Any:
        return self.get(f"/credits/balance/{user_id}")["totalCredits"]

    def held(self, user_id: str) -> Any:
        return self.get(f"/credits/balance/{user_id}")["heldCredits"]

    def records(self, user_id: str) -> Any:
        return self.get(f"/usage/records/user/{user_id}")["items"]

    def active(self, user_id: str) -> Any:
        return self.get(f"/streaming-sessions/active/{user_id}")

    def settled(self, user_id: str, count: int = 1, seconds: float = 15) -> Any:
        """The user's records, when there are so many and no hold is open."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            records = self.records(user_id)
            if len(records) >= count and self.held(user_id) == 0:
                break
            time.sleep(0.02)
        records = self.records(user_id)
        assert len(records) == count, records
        assert self.held(user_id) == 0
        return records

    def record(self, user_id: str) -> Any:
        return self.settled(user_id)[0]

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def fake(**scenario: Any) -> dict[str, dict[str, str]]:
    """`extra_headers` of a call that the fake provider answers so."""
    return {"extra_headers": {"x-fake": json.dumps(scenario)}}


def new_id() -> str:
    return uuid.uuid4().hex
