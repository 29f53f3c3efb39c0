"""Faults that a test orders, while it runs: each hits some of the calls that match, before moto sees them or after.

A fault is `{"action": regex over "service:Action", "where": {parameter: regex}, "skip": n, "times": n, "do": …}` and what
that needs:

    throttle                       the service asks to go slower
    error      code [message, status]
    expired                        the credentials have expired
    delay      seconds             before the effect
    reset                          the connection is cut, nothing has happened
    lost                           it has happened, the connection is cut
    partial    count               RunInstances makes no more than this
    hidden     seconds             what is made is not found for so long
    hold       when: before|after  waits until the test releases it: then it passes, or is cut"""

import asyncio
import re
from dataclasses import dataclass, field

from . import throttle
from .wire import Refusal

# EC2 answers these with a status of the server's (API reference, "Server error codes").
SERVER_ERRORS = {
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
}
KINDS = {"throttle", "error", "expired", "delay", "reset", "lost", "partial", "hidden", "hold"}


class Cut(Exception):
    """The client's connection ends here."""


@dataclass
class Fault:
    action: str
    do: str
    where: dict = field(default_factory=dict)
    skip: int = 0
    times: int = 1
    code: str = "InternalError"
    message: str = "injected by the test"
    status: int | None = None
    seconds: float = 0.0
    count: int = 0
    when: str = "before"

    def __post_init__(self):
        if self.do not in KINDS:
            raise ValueError(f"no fault {self.do}")

    def hits(self, call):
        """Whether it is this call's turn; counts the ones that it lets pass."""
        if self.times == 0 or not re.search(self.action, call.name):
            return False
        if not all(re.search(pattern, call.params.get(key, "")) for key, pattern in self.where.items()):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Faults:
    def __init__(self, visibility):
        self.visibility = visibility
        self.ordered, self.held = [], {}
        self.arrived = asyncio.Condition()

    def order(self, faults):
        self.ordered = [Fault(**fault) for fault in faults]

    def reset(self):
        self.ordered = []

    async def before(self, call):
        fault = next((f for f in self.ordered if f.hits(call)), None)
        call.notes["fault"] = fault
        if fault is None:
            return None
        call.notes["fault name"] = fault.do
        match fault.do:
            case "throttle":
                return throttle.refusal(call)
            case "error":
                return Refusal(fault.code, fault.message, fault.status or SERVER_ERRORS.get(fault.code, 400))
            case "expired":
                return expired(call)
            case "delay":
                await asyncio.sleep(fault.seconds)
            case "reset":
                raise Cut
            case "partial":
                return fewer(call, fault.count)
            case "hold" if fault.when == "before":
                await self.hold(call)
        return None

    async def after(self, call, response):
        fault = call.notes.get("fault")
        match fault and fault.do:
            case "lost":
                raise Cut
            case "hidden":
                self.visibility.hide(re.findall(r">([a-z]+-[0-9a-f]{8,17})<", response.text), fault.seconds)
            case "hold" if fault.when == "after":
                await self.hold(call)

    async def hold(self, call):
        release = asyncio.get_running_loop().create_future()
        async with self.arrived:
            self.held[call.notes["number"]] = (call.name, release)
            self.arrived.notify_all()
        try:
            if not await release:
                raise Cut
        finally:
            del self.held[call.notes["number"]]

    async def wait_held(self, seconds):
        """Calls that are held; waits for one."""
        async with self.arrived:
            try:
                await asyncio.wait_for(self.arrived.wait_for(lambda: self.held), seconds)
            except TimeoutError:
                pass
        return {number: name for number, (name, _) in self.held.items()}

    def release(self, passes):
        for _, future in list(self.held.values()):
            if not future.done():
                future.set_result(passes)


def expired(call):
    """EC2 developer guide, "Error codes" (RequestExpired); the other services say ExpiredToken."""
    if call.service == "ec2":
        return Refusal("RequestExpired", "Request has expired.")
    return Refusal(
        "ExpiredToken", "The security token included in the request is expired", 400 if call.service == "s3" else 403
    )


def fewer(call, count):
    """EC2 API reference, RunInstances: as many as can be launched from MinCount up, or none."""
    if int(call.params["MinCount"]) > count:
        message = "We currently do not have sufficient capacity in the Availability Zone you requested."
        return Refusal("InsufficientInstanceCapacity", message, 500)
    call.ask_for(MaxCount=min(count, int(call.params["MaxCount"])))
