"""`python -m aws_lab.strict ADDRESS PORT UPSTREAM SETTINGS`: the layer, in front of the moto server at UPSTREAM."""

import asyncio
import json
import logging
import sys
import tempfile

from mitmproxy import master, options
from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig

from ..parent import announce, end_with_parent
from .layer import Layer


class Announcer:
    def __init__(self, server):
        self.server = server

    def running(self):
        announce(self.server.listen_addrs()[0][1])


async def serve(address, port, upstream, settings):
    with tempfile.TemporaryDirectory(prefix="cloudtik-strict-") as folder:
        opts = options.Options(listen_host=address, listen_port=int(port), mode=[f"reverse:{upstream}"], confdir=folder)
        proxy = master.Master(opts, asyncio.get_running_loop())
        server = proxyserver.Proxyserver()
        layer = Layer(upstream, settings)
        proxy.addons.add(core.Core(), server, next_layer.NextLayer(), tlsconfig.TlsConfig(), layer, Announcer(server))
        # The client's own host is part of what it signed.
        opts.update(keep_host_header=True, connection_strategy="lazy", http2=False)
        await proxy.run()


def main():
    address, port, upstream, settings = sys.argv[1:]
    logging.getLogger().setLevel(logging.ERROR)
    end_with_parent()
    asyncio.run(serve(address, port, upstream, json.loads(settings)))


main()
