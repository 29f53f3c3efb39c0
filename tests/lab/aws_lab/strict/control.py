"""The test's own door, under `/_lab/`: settings, faults, held calls, the log."""

import json

from mitmproxy import http

PREFIX = "/_lab/"


async def answer(layer, request):
    word, body = request.path.removeprefix(PREFIX).partition("?")[0], request.get_text() or "null"
    try:
        result = await handle(layer, f"{request.method} {word}", request.query, json.loads(body))
    except (ValueError, TypeError, LookupError) as problem:
        return http.Response.make(400, str(problem), {"Content-Type": "text/plain"})
    return http.Response.make(200, json.dumps(result), {"Content-Type": "application/json"})


async def handle(layer, request, query, body):
    match request:
        case "PUT settings":
            layer.settings.update(body)
        case "PUT faults":
            layer.faults.order(body)
        case "GET faults":
            return [{"action": f.action, "do": f.do, "times": f.times} for f in layer.faults.ordered]
        case "GET calls":
            return layer.calls.log[int(query.get("since", 0)) :]
        case "GET held":
            return await layer.faults.wait_held(float(query["seconds"]))
        case "POST release":
            layer.faults.release(bool(body["passes"]))
        case "POST reset":
            layer.reset()
        case _:
            raise LookupError(f"no {request}")
