#!/usr/bin/env python3
"""Runs the real LiteLLM proxy against this service and prints what arrives. Not part of CI: it installs a large package.

    npm run build && python3 test/proof/litellm/real_proxy.py

Needs Python >= 3.10, a package registry that pip can reach, and ports of the loopback interface. Everything lies under
/tmp/accounting-litellm (the virtual environment stays there for the next run). No model is called: the proxy answers
with its `mock_response`, and with a local stand-in of an OpenAI server where a stream has to be slow.

The proxy's generic_api callback posts to a tap, which prints the facts of each event - never a prompt or an answer -
and passes the body on, as it came, to the service. LOG_FORMAT (json_array, ndjson, single) and BATCH_SIZE may be set.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WORK = Path("/tmp/accounting-litellm")
PACKAGE = os.environ.get("LITELLM_PACKAGE", "litellm[proxy]")
INTERNAL_KEY = secrets.token_hex(24)
MASTER_KEY = "sk-" + secrets.token_hex(24)
JWT_SECRET = secrets.token_hex(24)
BATCH_SIZE = os.environ.get("BATCH_SIZE", "1")
BURST = 40
AWAY_SECONDS = 25
PROMPT = "a prompt that must be stored nowhere"
START_SECONDS = 120
FLUSH_SECONDS = 2
CONTENT = {"messages", "response", "error_str", "traceback", "error_message", "requester_custom_headers"}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def install() -> Path:
    python = WORK / "venv" / "bin" / "python"
    if not (WORK / "venv" / "bin" / "litellm").exists():
        print(f"installing {PACKAGE} into {WORK}/venv …", flush=True)
        venv.create(WORK / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PACKAGE], check=True)
    version = "import importlib.metadata as m; print(m.version('litellm'))"
    print("litellm", subprocess.check_output([python, "-c", version], text=True).strip(), flush=True)
    return python


def facts(value, depth=0):
    """An event without contents: texts of known harmless fields stay, everything else only says its type and size."""
    if not isinstance(value, dict):
        return value
    shown = {}
    for name, item in value.items():
        if name in CONTENT:
            shown[name] = f"<{type(item).__name__}, {len(json.dumps(item))} bytes>"
        elif isinstance(item, dict):
            shown[name] = facts(item, depth + 1) if depth < 3 else "<dict>"
        elif isinstance(item, list):
            shown[name] = f"<list of {len(item)}>"
        elif item not in (None, "", {}):
            shown[name] = item
    return shown


class Tap(BaseHTTPRequestHandler):
    """Prints what the proxy posts and passes it on to the service."""

    service = ""
    seen: list = []
    is_quiet = False
    pause_seconds = 0.0
    away_until = 0.0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if time.time() < Tap.away_until:
            self.send_response(503)
            self.end_headers()
            return
        try:
            events = json.loads(body)
        except ValueError:
            events = [json.loads(line) for line in body.splitlines()]
        for event in events if isinstance(events, list) else [events]:
            Tap.seen.append(event)
            if not Tap.is_quiet:
                print(json.dumps(facts(event), indent=1, sort_keys=True), flush=True)
        if not Tap.is_quiet:
            print("<- contains the prompt:", PROMPT.encode() in body, flush=True)
            print("<- headers", {k: v for k, v in self.headers.items() if "key" not in k.lower()}, flush=True)
        time.sleep(Tap.pause_seconds)
        status, answer = post(
            f"{Tap.service}/api/integrations/litellm/logs",
            body,
            {"content-type": self.headers["content-type"], "x-internal-api-key": self.headers["x-internal-api-key"]},
        )
        if not Tap.is_quiet:
            print(f"-> the service answered {status} {answer.decode()}", flush=True)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class SlowModel(BaseHTTPRequestHandler):
    """A stand-in of an OpenAI server that streams a word every 100 ms."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            for index in range(100):
                delta = {"role": "assistant", "content": f"word{index} "}
                chunk = {"id": "chatcmpl-slow", "object": "chat.completion.chunk", "created": int(time.time())}
                chunk |= {"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
                time.sleep(0.1)
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass

    def log_message(self, *_):
        pass


def serve(handler) -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def post(url: str, body: bytes, headers: dict) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def start(command: list, env: dict, log: str, ready: str) -> subprocess.Popen:
    with open(WORK / log, "w") as output:
        process = subprocess.Popen(command, env=env, cwd=WORK, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.time() + START_SECONDS
    while time.time() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(ready, timeout=2) as answer:
                if answer.status == 200:
                    return process
        except OSError:
            time.sleep(0.3)
    process.kill()
    raise SystemExit(f"{command[0]} did not start; see {WORK / log}")


CONFIG = """
model_list:
  - model_name: mock
    litellm_params: {{ model: openai/gpt-4o-mini, api_key: none, mock_response: "A short answer." }}
  - model_name: unpriced
    litellm_params: {{ model: openai/no-such-model-in-the-price-list, api_key: none, mock_response: "An answer." }}
  - model_name: slow
    litellm_params: {{ model: openai/gpt-4o-mini, api_key: none, api_base: "{slow}" }}
  - model_name: broken
    litellm_params: {{ model: openai/gpt-4o-mini, api_key: none, mock_response: "litellm.RateLimitError" }}
general_settings:
  custom_auth: proxy_auth.user_api_key_auth
router_settings: {{ num_retries: 0 }}
litellm_settings:
  num_retries: 0
  turn_off_message_logging: {redact}
  cache: true
  cache_params: {{ type: local, mode: default_off }}
  callbacks: ["accounting"]
callback_settings:
  accounting:
    callback_type: generic_api
    endpoint: "{tap}"
    headers: {{ X-Internal-API-Key: os.environ/ACCOUNTING_INTERNAL_KEY }}
    log_format: {log_format}
    max_retries: 8
    retry_delay: 1
"""

# Stands in for the proxy's database of keys: a key with a user, the master key, and keys that name no user.
AUTH = f"""
from litellm.proxy._types import UserAPIKeyAuth, hash_token
async def user_api_key_auth(request, api_key):
    user = {{"sk-alice": "alice", "sk-team": "alice", "{MASTER_KEY}": "default_user_id"}}.get(api_key)
    team = "team-research" if api_key == "sk-team" else None
    return UserAPIKeyAuth(api_key=hash_token(api_key), user_id=user, team_id=team)
"""


def token(user: str, role: str = "user") -> str:
    """An access token, as the authentication service would sign it."""
    claims = {"sub": user, "username": user, "email": f"{user}@example.com", "role": role, "type": "access"}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims | {"exp": int(time.time()) + 3600}]
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    signature = hmac.new(JWT_SECRET.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def ask(path: str, user: str, role: str = "user", body: dict | None = None, method: str | None = None):
    headers = {"authorization": f"Bearer {token(user, role)}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{Tap.service}/api{path}", data, headers, method=method)) as answer:
        return json.loads(answer.read())


def outage(proxy: str) -> str:
    """Calls while the receiver is away for longer than the proxy gives a callback by default: do they arrive?"""
    before = len(Tap.seen)
    Tap.is_quiet, Tap.away_until = True, time.time() + AWAY_SECONDS
    for _ in range(3):
        chat(proxy, "sk-alice", model="mock")
    wait_for(before + 3, AWAY_SECONDS * 3)
    Tap.is_quiet = False
    ids = [event["litellm_call_id"] for event in Tap.seen[before:] if event is not None]
    return f"of 3 calls {len(set(ids))} arrived after {AWAY_SECONDS} s of 503"


def burst(proxy: str) -> str:
    """Many calls at once while the receiver is slow: how many of them arrive?"""
    before = len(Tap.seen)
    Tap.is_quiet, Tap.pause_seconds = True, 0.5
    threads = [threading.Thread(target=chat, args=(proxy, "sk-alice"), kwargs={"model": "mock"}) for _ in range(BURST)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    time.sleep(FLUSH_SECONDS * 2 + 1)
    Tap.is_quiet, Tap.pause_seconds = False, 0.0
    ids = [event["litellm_call_id"] for event in Tap.seen[before:] if event is not None]
    return f"of {BURST} calls {len(set(ids))} arrived, in {len(ids)} events, with batches of {BATCH_SIZE}"


def chat(proxy: str, key: str, **more) -> tuple[int, bytes]:
    body = {"messages": [{"role": "user", "content": PROMPT}], **more}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return post(f"{proxy}/v1/chat/completions", json.dumps(body).encode(), headers)


def abort(proxy: str, key: str) -> None:
    """Hangs up after some of a stream has come."""
    host, port = proxy.removeprefix("http://").split(":")
    client = http.client.HTTPConnection(host, int(port))
    body = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "a long story, please"}]}
    client.request(
        "POST", "/v1/chat/completions", json.dumps(body),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    client.getresponse().read(600)
    client.close()


def wait_for(count: int, seconds: int = 30) -> None:
    deadline = time.time() + seconds
    while len(Tap.seen) < count and time.time() < deadline:
        time.sleep(0.2)


def main() -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    python = install()
    started = []
    try:
        port = free_port()
        env = {
            **os.environ, "NODE_ENV": "development", "PORT": str(port), "INTERNAL_API_KEY": INTERNAL_KEY,
            "EMBEDDED_POSTGRES_DIR": str(WORK / f"data-{os.getpid()}" / "postgres"), "LOG_LEVEL": "info",
            "JWT_ACCESS_SECRET": JWT_SECRET,
        }
        Tap.service = f"http://127.0.0.1:{port}"
        started.append(start(["node", str(ROOT / "dist/src/main.js")], env, "service.log", f"{Tap.service}/health/ready"))
        for user in ("alice", "bob"):
            ask("/credits/balance", user)
            ask("/credits/allocate", "admin", "admin", {"userId": user, "credits": 1000})
        ask("/organisations", "admin", "admin", {"id": "org:acme", "name": "Acme"})
        ask("/organisations/org:acme/members", "admin", "admin", {"userId": "alice", "role": "member"})
        ask("/credits/allocate", "admin", "admin", {"accountId": "org:acme", "credits": 1000})
        account = {"kind": "team", "externalId": "team-research", "accountId": "org:acme"}
        ask("/integrations/litellm/accounts", "admin", "admin", account, "PUT")
        price = {"modelId": "gpt-4o-mini", "pricePerThousandTokens": "2"}
        ask("/pricing", "admin", "admin", price)
        own_key = ask("/api-keys", "bob", body={"name": "for the gateway"})["key"]
        settings = {
            "slow": f"http://127.0.0.1:{serve(SlowModel)}/v1", "tap": f"http://127.0.0.1:{serve(Tap)}",
            "log_format": os.environ.get("LOG_FORMAT", "json_array"), "redact": os.environ.get("REDACT", "false"),
        }
        (WORK / "config.yaml").write_text(CONFIG.format(**settings))
        (WORK / "proxy_auth.py").write_text(AUTH)
        proxy = f"http://127.0.0.1:{free_port()}"
        env = {
            **os.environ, "DEFAULT_BATCH_SIZE": BATCH_SIZE, "DEFAULT_FLUSH_INTERVAL_SECONDS": str(FLUSH_SECONDS),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": MASTER_KEY, "PYTHONPATH": str(WORK),
            "ACCOUNTING_INTERNAL_KEY": INTERNAL_KEY, "LOGGING_WORKER_MAX_TIME_PER_COROUTINE": "600",
        }
        env.pop("DATABASE_URL", None)
        command = [str(python.parent / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1"]
        command += ["--port", proxy.rsplit(":", 1)[1], "--telemetry", "False"]
        started.append(start(command, env, "proxy.log", f"{proxy}/health/liveliness"))
        scenes = [
            ("a completion with the key of alice", lambda: chat(proxy, "sk-alice", model="mock")),
            ("with the key of alice in a team that an organisation pays for", lambda: chat(proxy, "sk-team", model="mock")),
            ("with the master key, for an end user", lambda: chat(proxy, MASTER_KEY, model="mock", user="bob")),
            ("with a key of ours, without a user", lambda: chat(proxy, own_key, model="mock", user="")),
            ("for an unknown user", lambda: chat(proxy, MASTER_KEY, model="mock", user="carol")),
            ("of a model without a price", lambda: chat(proxy, "sk-alice", model="unpriced")),
            ("streamed", lambda: chat(proxy, "sk-alice", model="mock", stream=True)),
            ("a stream aborted by its client", lambda: abort(proxy, "sk-alice")),
            ("a failure", lambda: chat(proxy, "sk-alice", model="broken")),
            ("a call that fills the cache", lambda: chat(proxy, "sk-alice", model="mock", cache={"use-cache": True})),
            ("the same again, from the cache", lambda: chat(proxy, "sk-alice", model="mock", cache={"use-cache": True})),
        ]
        for title, call in scenes:
            print(f"\n=== {title}", flush=True)
            count = len(Tap.seen)
            call()
            wait_for(count + 1)
        time.sleep(FLUSH_SECONDS + 1)
        print("\n=== what the service has made of it")
        for user, account in (("alice", "alice"), ("alice", "org:acme"), ("bob", "bob")):
            for record in reversed(ask(f"/usage/records?limit=200&accountId={account}", user)["items"]):
                shown = ["operation", "credits", "billingStatus", "providerCostUsd", "apiKeyId"]
                more = ["tokens", "modelGroup", "streamed", "aborted", "cacheHit"]
                facts_of = {name: record["metadata"].get(name) for name in more}
                print(account, user, *(record[name] for name in shown), {k: v for k, v in facts_of.items() if v is not None})
        print("in quarantine:", ask("/integrations/litellm/quarantine", "admin", "admin")["items"])
        print(f"\n=== a burst\n{burst(proxy)}", flush=True)
        print(f"\n=== an outage\n{outage(proxy)}")
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
