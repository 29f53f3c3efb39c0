"""Console output of instances that have bodies.

Rests on: EC2 API reference, GetConsoleOutput (base64; nothing until the instance has written something)."""

import base64
import datetime
from pathlib import Path

from mitmproxy import http


class Console:
    def __init__(self, settings):
        self.settings = settings

    async def before(self, call):
        if not self.settings.console or call.name != "ec2:GetConsoleOutput":
            return None
        instance = call.params["InstanceId"]
        written = Path(self.settings.console) / Path(instance).name
        output = base64.b64encode(written.read_bytes()).decode() if written.exists() else ""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        body = (
            '<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>strict</requestId>'
            f"<instanceId>{instance}</instanceId><timestamp>{now}</timestamp><output>{output}</output>"
            "</GetConsoleOutputResponse>"
        )
        return http.Response.make(200, body, {"Content-Type": "text/xml"})
