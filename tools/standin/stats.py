# SPDX-License-Identifier: MIT
"""What was counted, and a bounded record of the requests."""

import collections
import threading

REQUESTS_KEPT = 10000

_COUNTERS = (
    "connections", "full_handshakes", "resumed_handshakes", "failed_handshakes", "plain_requests",
    "requests", "posts", "lines", "rows_stored", "rows_overwritten", "rows_changed", "refused",
    "bytes_in", "bytes_out", "tokens_issued", "crash_markers", "faults_met",
)


class Stats:
    """Counters. `posts` are requests to telegraf, also those that a fault met; `rows_changed` are
    rows overwritten by one that was not the same."""

    def __init__(self):
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(_COUNTERS, 0)
        self._by_path = collections.Counter()
        self._requests = collections.deque(maxlen=REQUESTS_KEPT)

    def add(self, name, count=1):
        with self._lock:
            self._counts[name] += count

    def record(self, entry):
        """Keep one request: a dictionary with path, status, fault, and for a batch its verdict."""
        with self._lock:
            self._counts["requests"] += 1
            self._by_path[entry["path"]] += 1
            self._counts["posts"] += entry["path"] == "/restapi/telegraf"
            entry["n"] = self._counts["requests"]
            self._requests.append(entry)

    def counters(self):
        with self._lock:
            return {**self._counts, "requests_by_path": dict(self._by_path)}

    def requests(self, path=None):
        with self._lock:
            return [dict(entry) for entry in self._requests if path in (None, entry["path"])]

    def reset(self):
        with self._lock:
            self._counts = dict.fromkeys(_COUNTERS, 0)
            self._by_path.clear()
            self._requests.clear()
