"""Many clients at once in threads, until the server is killed under them; then the audit of what it remembers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

from harness import Closed, Server
from tracks import Appends, Chunks, Parallel, Refused, Report, Track

Kind = Callable[[random.Random, Report], Track]
KINDS: tuple[Kind, ...] = (Appends, Appends, Chunks, Appends, Chunks, Parallel)


class Worker:
    """One client after the other in a thread, until told to stop or until the server is gone."""

    def __init__(self, seed: int, kinds: Sequence[Kind], *, strict: bool) -> None:
        self.random = random.Random(seed)
        self.kinds = kinds
        self.strict = strict  # refusals are problems; otherwise they only end the run
        self.report = Report()
        self.track: Track | None = None

    def run(self, server: Server, ending: threading.Event, stop: threading.Event) -> None:
        """Until `stop`. Broken connections are no news once the `ending` has begun: what was not answered is open."""
        try:
            while not stop.is_set():
                self.turn(server)
        except ConnectionError as error:
            if not ending.is_set():
                self.report.note(f"{self.track}: {error!r}")
        except (Refused, TimeoutError, AssertionError) as error:
            if self.strict:
                self.report.note(f"{self.track}: {error!r}")

    def turn(self, server: Server) -> None:
        """One request of the present upload, or a new upload, or the end of a finished one."""
        if self.track is None:
            self.track = self.random.choice(self.kinds)(self.random, self.report)
        if not self.track.created:
            self.track.create(server)
        elif not self.track.complete:
            self.track.step(server)
        else:
            self.track.compare(server)
            finished, self.track = self.track, None
            finished.discard(server)

    def audit(self, server: Server) -> None:
        """After a crash: does the server remember what it acknowledged, and nothing that was never sent?"""
        if self.track is not None and self.track.created:
            self.track.audit(server)
        if self.track is not None and not self.track.created:
            self.track = None

    def finish(self, server: Server) -> None:
        """Bring the present upload to its end, and compare it."""
        while self.track is not None and self.track.created:
            self.turn(server)

    def give_up(self, why: Exception) -> None:
        """Acknowledged bytes that no file can be made of are lost."""
        self.report.lost += self.track.kept() if self.track is not None else 0
        self.report.note(f"{self.track}: could not be finished: {why!r}")
        self.track = None


class Load:
    """Several workers at once."""

    def __init__(self, seed: int, workers: int = 6, *, strict: bool = True) -> None:
        self.workers = [Worker(seed * 1000 + index, KINDS, strict=strict) for index in range(workers)]

    def run(self, server: Server, seconds: float, end: Callable[[], object]) -> None:
        """Load the server for `seconds`, then call `end`, which is to make the load end."""
        ending, stop = threading.Event(), threading.Event()
        threads = [threading.Thread(target=worker.run, args=(server, ending, stop)) for worker in self.workers]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        ending.set()
        try:
            end()
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    def audit(self, server: Server) -> None:
        for worker in self.workers:
            worker.audit(server)

    def finish(self, server: Server) -> None:
        for worker in self.workers:
            try:
                worker.finish(server)
            except (Refused, Closed) as error:
                worker.give_up(error)

    def report(self) -> Report:
        total = Report()
        for worker in self.workers:
            total.merge(worker.report)
        return total

