"""`python -m aws_lab.moto ADDRESS PORT`: a moto server, with `/lab/world/REGION` beside it: what exists, as clients see it."""

import json
import logging
import os
import sys
import threading

# Without them moto launches any image, type and key name, and knows no policy of AWS.
os.environ.update(
    MOTO_ENABLE_AMI_VALIDATION="true",
    MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION="true",
    MOTO_ENABLE_KEYPAIR_VALIDATION="true",
    MOTO_IAM_LOAD_MANAGED_POLICIES="true",
)

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from .images import publish
from .mends import mend
from .parent import announce, end_with_parent
from .world import World


def with_world(moto, worlds):
    def serve(environ, start_response):
        path = environ.get("PATH_INFO", "")
        if not path.startswith("/lab/world/"):
            return moto(environ, start_response)
        body = json.dumps(worlds(path.rsplit("/", 1)[1])).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return serve


def atomic_s3(moto):
    """Requests to S3 one after the other: moto looks at the condition of a put, and stores it, in two steps."""
    one = threading.Lock()

    def serve(environ, start_response):
        if "/s3/aws4_request" not in environ.get("HTTP_AUTHORIZATION", ""):
            return moto(environ, start_response)
        with one:
            return moto(environ, start_response)

    return serve


def main():
    address, port = sys.argv[1], int(sys.argv[2])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    mend()
    publish()
    worlds = World()
    app = with_world(atomic_s3(DomainDispatcherApplication(create_backend_app)), worlds)
    server = make_server(address, port, app, threaded=True, request_handler=MotoRequestHandler)
    worlds.endpoint = f"http://{address}:{server.server_port}"
    end_with_parent()
    announce(server.server_port)
    server.serve_forever()


main()
