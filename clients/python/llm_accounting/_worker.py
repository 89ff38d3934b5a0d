"""Threads for what no consumer waits for: progress, and settlements of streams that were left.

Threads, in the asynchronous client too: a settlement must outlive the event loop in which its stream was left.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable

THREADS = 4
log = logging.getLogger("llm_accounting")


class Worker:
    def __init__(self) -> None:
        # Its `put` may be called from a destructor, at any point of another call: it takes no lock that could be held.
        self._jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._begun = itertools.count(1)
        self._submitted = 0
        self._finished = 0
        self._lock = threading.Lock()
        self._process = 0

    def start(self) -> None:
        """Starts the threads if this process has none yet; a forked process has none of its parent's."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            for _ in range(THREADS):
                threading.Thread(target=self._work, daemon=True, name="llm_accounting").start()
            self._process = os.getpid()

    def submit(self, job: Callable[[], object]) -> None:
        self._submitted = next(self._begun)
        self._jobs.put(job)

    def wait(self, deadline: float) -> None:
        """Waits until everything submitted is done, or `time.monotonic()` passes the deadline."""
        while self._finished < self._submitted and time.monotonic() < deadline:
            time.sleep(0.005)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:
                log.exception("a job of the accounting client failed")
            # What the job refers to must not live until the next one comes.
            del job
            with self._lock:
                self._finished += 1
