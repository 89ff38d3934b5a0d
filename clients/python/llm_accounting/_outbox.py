"""Settlements that the service has not taken yet, in memory or in a spool file, and their replay.

The file has one JSON object a line. Lines are appended and never changed:

    {"call": {...}}                               a call that was let through without a hold
    {"progress": "key", "tokensGenerated": 200}   what it has generated since
    {"settlement": {...}}                         a settlement, on disk before it is sent
    {"done": "key"}                               the service has taken it, or rejected it for good

A settlement may be sent twice, by a process that was killed after sending it and before the last line: the service
settles a session once and charges a request id once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import AccountingUnavailable, RequestRejected, SpoolInUse
from .options import Identity

fcntl: Any = None
with contextlib.suppress(ImportError):
    import fcntl

# Settlements kept in memory where there is no file; beyond them the oldest is given up, and its lease ends the session.
MAXIMUM_IN_MEMORY = 10_000
# Size from which a file of nothing but finished lines is emptied.
EMPTIED_BYTES = 1_000_000
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
REPLAY_SECONDS = 30.0


@dataclass
class Entry:
    """A call, and its settlement once it has ended."""

    session_id: str
    model_id: str
    input_tokens: int
    identity: Identity
    # Session ids are unique for a user of an account.
    key: str
    # 0 for a call that has a hold.
    assumed_credits: int = 0
    tokens_generated: int = 0
    # The request that settles the session, without the caller and the session's id.
    settlement: dict[str, Any] | None = None
    # "finalize" or "abort"
    operation: str = "abort"
    is_waiting: bool = False

    def to_line(self) -> dict[str, Any]:
        line = {name: value for name, value in vars(self).items() if name != "is_waiting"}
        # A token must not be on a disk, and has expired when it is needed.
        names = ("user_id", "account_id", "tags")
        return {**line, "identity": {name: getattr(self.identity, name) for name in names}}

    @staticmethod
    def from_line(line: dict[str, Any]) -> Entry:
        return Entry(**{**line, "identity": Identity(**line["identity"])})


class Outbox:
    """Thread-safe. `deliver` sends one entry's settlement: it raises AccountingUnavailable on an outage."""

    def __init__(
        self,
        spool: str | os.PathLike[str] | None,
        deliver: Callable[[Entry], object],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._deliver = deliver
        self._on_error = on_error
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._wake = threading.Event()
        self._thread_of_process = 0
        self._is_closed = False
        self._file = _SpoolFile(Path(spool)) if spool is not None else None
        for entry in self._file.load() if self._file else []:
            self._entries[entry.key] = entry
            self.wait_for_service(entry)

    @property
    def is_on_disk(self) -> bool:
        return self._file is not None

    @property
    def assumed_credits(self) -> int:
        """What the calls that were let through may cost together."""
        with self._lock:
            return sum(entry.assumed_credits for entry in self._entries.values())

    def begin(self, entry: Entry, most_credits: int) -> bool:
        """Lets a call through if its assumed credits fit below the bound."""
        with self._lock:
            if self.assumed_credits + entry.assumed_credits > most_credits:
                return False
            self._write({"call": entry.to_line()}, sync=False)
            self._entries[entry.key] = entry
            return True

    def progress(self, key: str, tokens_generated: int) -> None:
        with self._lock:
            self._entries[key].tokens_generated = tokens_generated
            self._write({"progress": key, "tokensGenerated": tokens_generated}, sync=False)

    def add(self, entry: Entry) -> None:
        """Keeps a settlement; it is on the disk when this returns, if there is a file."""
        with self._lock:
            begun = self._entries.get(entry.key)
            if begun is not None:
                entry.assumed_credits = begun.assumed_credits
            self._entries[entry.key] = entry
            self._write({"settlement": entry.to_line()}, sync=True)

    def done(self, entry: Entry) -> None:
        with self._lock:
            is_known = self._entries.pop(entry.key, None) is not None
            try:
                if is_known:
                    self._write({"done": entry.key}, sync=False)
                if self._file and not self._entries:
                    self._file.empty()
            except OSError as error:
                # It is sent again after a restart, which changes nothing.
                self._on_error(error)

    def reject(self, entry: Entry, problem: dict[str, Any]) -> None:
        """Puts a settlement that the service will never take where a person finds it."""
        try:
            if self._file:
                self._file.reject({**entry.to_line(), "problem": problem})
        except OSError as error:
            self._on_error(error)
        self.done(entry)

    def wait_for_service(self, entry: Entry) -> None:
        """Leaves an entry to the thread that sends it when the service is back."""
        with self._lock:
            entry.is_waiting = True
            waiting = [entry for entry in self._entries.values() if entry.is_waiting]
            if self._file is None and len(waiting) > MAXIMUM_IN_MEMORY:
                self.done(waiting[0])
                message = f"Too many settlements wait: that of {waiting[0].session_id} was given up"
                self._on_error(AccountingUnavailable(message))
            if self._thread_of_process != os.getpid():
                self._thread_of_process = os.getpid()
                threading.Thread(target=self._replay, daemon=True, name="llm_accounting replay").start()
        self._wake.set()

    def replay_now(self, deadline: float) -> bool:
        """Sends what waits, in order, until the service fails or `time.monotonic()` passes the deadline.

        Returns whether nothing waits any longer.
        """
        while time.monotonic() < deadline:
            with self._lock:
                entry = next((entry for entry in self._entries.values() if entry.is_waiting), None)
            if entry is None:
                return True
            try:
                self._deliver(entry)
            except AccountingUnavailable:
                return False
            except RequestRejected:
                # on_error has it.
                continue
        return False

    def close(self) -> None:
        self._is_closed = True
        self._wake.set()
        if self._file:
            self._file.close()

    def _replay(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._is_closed:
            self._wake.wait()
            self._wake.clear()
            while not self._is_closed and not self.replay_now(time.monotonic() + REPLAY_SECONDS):
                # Half of it by chance, so that not all clients come back at once.
                time.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            pause = FIRST_PAUSE_SECONDS

    def _write(self, line: dict[str, Any], *, sync: bool) -> None:
        if self._file:
            self._file.append(line, sync=sync)


class _SpoolFile:
    """The file and its lock, which the operating system gives back when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        if fcntl is None:
            raise NotImplementedError("A spool file needs a POSIX system")
        self._path = path
        self._process = os.getpid()
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._lock, 20, 0).decode(errors="replace") or "?"
            os.close(self._lock)
            message = f"{path} is used by process {owner}: give each process a spool file of its own"
            raise SpoolInUse(message) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(self._process).encode(), 0)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._is_torn = False

    def load(self) -> list[Entry]:
        """What another process left, oldest first. The file has only that afterwards."""
        entries: dict[str, Entry] = {}
        # A line that a power failure has cut is none: nothing was sent on the strength of it.
        for line in filter(None, map(_parse, self._path.read_bytes().splitlines())):
            if entry := line.get("call") or line.get("settlement"):
                entries[entry["key"]] = Entry.from_line(entry)
            elif "progress" in line and line["progress"] in entries:
                entries[line["progress"]].tokens_generated = line["tokensGenerated"]
            elif "done" in line:
                entries.pop(line["done"], None)
        for entry in entries.values():
            if entry.settlement is None:
                # Its process died in mid-stream: what it had reported is known.
                entry.operation = "finalize"
                entry.settlement = {
                    "inputTokens": entry.input_tokens,
                    "outputTokens": entry.tokens_generated,
                    "usageSource": "estimated",
                    "success": False,
                }
        text = "".join(_line({"settlement": entry.to_line()}) for entry in entries.values())
        temporary = self._path.with_name(self._path.name + ".new")
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)
        os.close(self._descriptor)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND)
        self._is_torn = False
        return list(entries.values())

    def append(self, line: dict[str, Any], *, sync: bool) -> None:
        if self._process != os.getpid():
            raise SpoolInUse(f"{self._path} belongs to the process that this one was forked from")
        # A full disk takes a part of a line: the next one begins with a line break.
        content = (b"\n" if self._is_torn else b"") + _line(line).encode()
        self._is_torn = True
        while content:
            content = content[os.write(self._descriptor, content) :]
        self._is_torn = False
        if sync:
            os.fsync(self._descriptor)

    def empty(self) -> None:
        if os.fstat(self._descriptor).st_size > EMPTIED_BYTES:
            os.ftruncate(self._descriptor, 0)

    def reject(self, line: dict[str, Any]) -> None:
        with open(f"{self._path}.rejected", "a", encoding="utf-8") as file:
            file.write(_line(line))
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        os.close(self._descriptor)
        os.close(self._lock)


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
