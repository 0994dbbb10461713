# SPDX-License-Identifier: MIT
"""What the run is at, and how far: one line that moves on a terminal, one line a step elsewhere."""

import concurrent.futures
import sys
import time

from benchmark.process import stop_all

TICK_SECONDS = 0.5


class Progress:
    """Goes to stderr, so that stdout is the result alone."""

    def __init__(self, steps):
        self._steps = steps
        self._step = 0
        self._is_terminal = sys.stderr.isatty()

    def run(self, label, seconds, jobs):
        """Run functions side by side, telling how far; `seconds` is what it should take.

        Returns their results in order; where one failed, its exception.
        """
        self._step += 1
        head = f"[{self._step}/{self._steps}] {label}"
        started = time.monotonic()
        if not self._is_terminal:
            print(f"{head}: about {seconds:.0f} s", file=sys.stderr, flush=True)
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                while concurrent.futures.wait(futures, TICK_SECONDS).not_done:
                    self._tick(head, time.monotonic() - started, seconds)
            except BaseException:
                stop_all()  # or the jobs would be waited for
                raise
        if self._is_terminal:
            print(f"\r{head}: {time.monotonic() - started:.0f} s\033[K", file=sys.stderr)
        return [future.exception() or future.result() for future in futures]

    def _tick(self, head, gone, seconds):
        if self._is_terminal:
            print(f"\r{head}: {gone:.0f} of about {seconds:.0f} s\033[K", end="",
                  file=sys.stderr, flush=True)
