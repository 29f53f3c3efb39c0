"""The log of all calls: what was asked, how it was answered, which fault hit it."""

import time

from . import wire


class Calls:
    def __init__(self):
        self.start = time.monotonic()
        self.reset()

    def reset(self):
        self.log = []

    def begin(self, call):
        call.notes["number"] = len(self.log)
        self.log.append(
            {
                "service": call.service,
                "region": call.region,
                "action": call.action,
                "changes": call.changes,
                "params": call.params,
                "at": round(time.monotonic() - self.start, 3),
            }
        )
        call.notes["entry"] = self.log[-1]

    def end(self, call, response):
        entry = call.notes["entry"]
        entry["took"] = round(time.monotonic() - self.start - entry["at"], 3)
        entry["fault"] = call.notes.get("fault name")
        # No status: the client never heard.
        entry["status"] = response.status_code if response else None
        entry["error"] = wire.error_code(response) if response and response.status_code >= 400 else None
