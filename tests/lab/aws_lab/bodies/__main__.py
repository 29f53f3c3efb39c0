"""`python -m aws_lab.bodies LAB`: makes the networks of a lab, says `outside NAMESPACE`, then does as it is told on standard
input, a JSON object a line; answers each with one. At the end of the input all is removed.

    {"follow": PORT, "region": R}   keep hosts as the instances of the moto server at that port, outside, are
    {"hosts": true}                 the hosts that run, after one look more
    {"mirror": FOLDER}              serve a folder at http://203.0.113.10/"""

import json
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import boto3

from .follow import Follow
from .hosts import Hosts
from .networks import INTERNET, Networks
from .run import Failed


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Lab:
    def __init__(self, name):
        self.networks = Networks(name)
        self.hosts = Hosts(name, self.networks)
        self.follow, self.over, self.busy = None, threading.Event(), threading.Lock()

    def make(self):
        self.networks.make()
        self.hosts.make_folder()
        self.networks.enter_outside()

    def told(self, what):
        if "follow" in what:
            endpoint = f"http://127.0.0.1:{what['follow']}"
            ec2 = boto3.client(
                "ec2", what["region"], endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
            )
            self.follow = Follow(self.networks, self.hosts, ec2)
            threading.Thread(target=self.keep_following).start()
            return {"console": str(self.hosts.console)}
        if "hosts" in what:
            with self.busy:
                return self.follow.step()
        server = ThreadingHTTPServer((INTERNET, 80), partial(Quiet, directory=what["mirror"]))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return {"url": f"http://{INTERNET}/"}

    def keep_following(self):
        self.networks.enter_outside()
        self.follow.steps(self.over, self.busy)

    def remove(self):
        self.over.set()
        with self.busy:
            self.hosts.remove()
            self.networks.remove()


def main():
    lab = Lab(sys.argv[1])
    try:
        lab.make()
        print("outside", lab.networks.outside, flush=True)
        for line in sys.stdin:
            print(json.dumps(lab.told(json.loads(line))), flush=True)
    except Failed as problem:
        print("impossible", problem, flush=True)
    finally:
        lab.remove()


main()
