"""`python -m bucket_lab.container ENDPOINT NAME`: makes a container in Azurite, with its well-known account and key."""

import base64
import hashlib
import hmac
import sys
import urllib.request
from email.utils import formatdate

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

endpoint, name = sys.argv[1:]
headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
canonical = "\n".join(f"{k}:{v}" for k, v in headers.items())
# learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
text = "PUT" + "\n" * 12 + f"{canonical}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
request = urllib.request.Request(f"{endpoint}/{name}?restype=container", method="PUT", headers=headers)
urllib.request.urlopen(request).read()
