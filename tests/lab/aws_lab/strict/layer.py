"""The way of a call: refused by the first rule that objects, else answered by moto and seen by each on the way back."""

from mitmproxy import http

from . import control, wire
from .births import Births
from .calls import Calls
from .console import Console
from .faults import Cut, Faults
from .latency import Latency
from .order import Order
from .pages import Pages
from .settings import Settings
from .signing import Signing
from .states import States
from .throttle import Throttle
from .tokens import Tokens
from .upstream import Moto
from .visibility import Visibility


class Layer:
    """A mitmproxy add-on."""

    def __init__(self, upstream, settings):
        self.settings = Settings(**settings)
        births = Births()
        states, self.calls = States(self.settings, births), Calls()
        visibility, tokens = Visibility(self.settings, births), Tokens(self.settings)
        throttle, pages = Throttle(self.settings), Pages(self.settings)
        order = Order(self.settings, births, states, Moto(upstream))
        self.faults = Faults(visibility)
        # What was signed is looked at before a fault changes it.
        self.before = [
            Signing(self.settings),
            self.faults,
            throttle,
            visibility,
            tokens,
            order,
            pages,
            Console(self.settings),
            Latency(self.settings),
        ]
        self.after = [births, states, visibility, pages, tokens]
        self.stateful = [self.calls, births, states, visibility, throttle, tokens, self.faults]

    def reset(self):
        for part in self.stateful:
            part.reset()

    async def request(self, flow):
        if flow.request.path.startswith(control.PREFIX):
            flow.response = await control.answer(self, flow.request)
            return
        call = flow.metadata["call"] = wire.read(flow)
        self.calls.begin(call)
        try:
            for rule in self.before:
                answer = await rule.before(call)
                if answer is not None:
                    flow.response = answer if isinstance(answer, http.Response) else answer.response(call)
                    return
        except Cut:
            self.cut(call)

    async def response(self, flow):
        call = flow.metadata.get("call")
        if call is None:
            return
        try:
            for rule in self.after:
                rule.after(call, flow.response)
            await self.faults.after(call, flow.response)
            self.calls.end(call, flow.response)
        except Cut:
            self.cut(call)

    def error(self, flow):
        """The client went away, or moto did."""
        call = flow.metadata.get("call")
        if call is not None and "took" not in call.notes["entry"]:
            self.cut(call)

    def cut(self, call):
        self.calls.end(call, None)
        for rule in self.after:
            if isinstance(rule, Tokens):
                rule.after(call, None)
        if call.flow.killable:
            call.flow.kill()
