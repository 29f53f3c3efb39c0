"""Console output: that of bodies where instances have them, else the host keys that a machine would have shown.

Rests on: EC2 API reference, GetConsoleOutput (base64; nothing until the instance has written something); cloud-init, module
"Keys to Console" (the lines around the keys)."""

import base64
import datetime
import hashlib
from pathlib import Path

from mitmproxy import http


class Console:
    def __init__(self, settings):
        self.settings = settings

    async def before(self, call):
        if call.name != "ec2:GetConsoleOutput" or not (self.settings.console or self.settings.rules):
            return None
        instance = call.params["InstanceId"]
        output = base64.b64encode(self.written(instance).encode()).decode()
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        body = (
            '<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>strict</requestId>'
            f"<instanceId>{instance}</instanceId><timestamp>{now}</timestamp><output>{output}</output>"
            "</GetConsoleOutputResponse>"
        )
        return http.Response.make(200, body, {"Content-Type": "text/xml"})

    def written(self, instance):
        if not self.settings.console:
            key = f"ssh-ed25519 {invented(instance)} root@{instance}"
            return f"-----BEGIN SSH HOST KEY KEYS-----\n{key}\n-----END SSH HOST KEY KEYS-----\n"
        place = Path(self.settings.console) / Path(instance).name
        return place.read_text() if place.exists() else ""


def invented(instance):
    """The public key of nobody, in the form of RFC 8709."""
    parts = [b"ssh-ed25519", hashlib.sha256(instance.encode()).digest()]
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()
