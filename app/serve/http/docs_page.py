"""The page /docs: Swagger UI from files of this installation, with a form for a credential. The path / leads to it.

A browser cannot send a header with an address that a person types, so the page itself needs no credential. It holds nothing about
the service: it asks for a credential, reads ``/openapi.json`` with it, and sends it with the requests that a reader tries out.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from app.errors import NotFound
from app.serve.security.credentials import HEADER

PATH = "/docs"
_START = "start.js"
#: Files of Swagger UI, by the name under ``/docs/``, with their media types.
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
#: Paths of the page. They need no credential and allow the page's own scripts.
PATHS = frozenset({"/", PATH, *(f"{PATH}/{name}" for name in (_START, *_ASSETS))})

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

# Relative addresses: behind a gateway, paths begin with its stage.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>snowsage</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<form id="credential" HIDDEN style="font-family: sans-serif; margin: 2em">
  <p>The description of this service needs a credential: an API key with the scope read, or the shared secret.</p>
  <p id="refused" style="color: #b00"></p>
  <select id="kind" aria-label="kind of credential">
    <option value="ApiKey">API key</option><option value="Secret">shared secret</option>
  </select>
  <input id="value" type="password" autocomplete="off" aria-label="credential" size="50">
  <button>Show</button>
</form>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_SCRIPT = """"use strict";
const headers = {ApiKey: "x-api-key", Secret: "SECRET_HEADER"};
const form = document.getElementById("credential");
async function show(kind, value) {
  const sent = value ? {[headers[kind]]: value} : {};
  const answer = await fetch("openapi.json", {headers: sent});
  if (!answer.ok) {
    form.hidden = false;
    document.getElementById("refused").textContent = value ? (await answer.json()).detail : "";
    return;
  }
  form.hidden = true;
  const spec = await answer.json();
  const here = new URL(".", window.location.href).pathname.replace(/\\/$/, "");
  if (here) spec.servers = [{url: here}];
  const ui = SwaggerUIBundle({
    spec, dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
    onComplete: () => { if (value) ui.preauthorizeApiKey(kind, value); },
  });
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(document.getElementById("kind").value, document.getElementById("value").value);
});
// A request that is certainly refused would only fill the console with errors.
if (form.hidden) show("ApiKey", "");
""".replace("SECRET_HEADER", HEADER)


def add_routes(app: FastAPI, *, described_openly: bool) -> None:
    """Add the page and its files to ``app``. ``described_openly``: ``/openapi.json`` needs no credential."""
    methods, page = ["GET", "HEAD"], _PAGE.replace(" HIDDEN", " hidden" if described_openly else "")

    async def show(_: Request) -> Response:
        return HTMLResponse(page)

    app.add_route("/", _lead, methods=methods, include_in_schema=False)
    app.add_route(PATH, show, methods=methods, include_in_schema=False)
    app.add_route(f"{PATH}/{{name}}", _file, methods=methods, include_in_schema=False)


async def _lead(_: Request) -> Response:
    return RedirectResponse(PATH.removeprefix("/"))


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name == _START:
        return Response(_SCRIPT, media_type="text/javascript")
    if name not in _ASSETS:
        raise NotFound(f"{PATH} has no such file")
    return FileResponse(_assets() / name, media_type=_ASSETS[name])


@lru_cache(maxsize=1)
def _assets() -> Path:
    """Swagger UI's files. The package is only a carrier of them, so it is not imported."""
    found = importlib.util.find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise NotFound("Swagger UI is not installed; install it with: pip install fastapi-offline")
    return Path(found.origin).parent / "static"
