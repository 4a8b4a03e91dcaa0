"""MCP, the Model Context Protocol: what can be read by REST, as tools for language models. See docs/mcp.md.

    POST /mcp    streamable HTTP without sessions: each request stands for itself

A tool is one GET of the native API; its name, text and arguments are those of the OpenAPI document. It is asked at the
front door with the credentials of whoever calls the tool, so tokens, roles, scopes, pace and audit trail are those of
REST, and nothing here knows a plant. The SDK is an extra of the package, `[mcp]`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import mcp.types as said
import orjson
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPERATIONS: Final = (
    "list_assets",
    "get_asset",
    "list_tags",
    "get_tag",
    "list_devices",
    "get_device",
    "list_values",
    "get_value",
    "get_history",
    "get_aligned_history",
    "why_tag",
    "get_lineage",
    "get_ledger",
    "list_machines",
    "get_machine",
    "get_advice",
)
"""What is a tool: reading only, and nothing that has no end."""

_ANSWER_BYTES_MAX: Final = 200_000
"""More than that no model reads."""
_INSTRUCTIONS: Final = (
    "Readings of an industrial plant. Paths are enterprise/site/.../asset/tag; list_tags finds them by glob. Each value"
    " has a source time (UTC) and a quality: one that is not good is not to be believed, why_tag says why it is not."
    " Alarms and what maintenance signals say are tags below _alarm and _maintenance of an asset. Ask get_history for"
    " few points (points, bucket) before many."
)


@dataclass(frozen=True, slots=True)
class _Operation:
    """A GET of the API. `path` has its parameters in braces; `inside` are their names, all others go into the query."""

    path: str
    inside: frozenset[str]
    tool: said.Tool

    def asked(self, arguments: Mapping[str, Any]) -> tuple[str, str]:
        """Return path and query. Raises ValueError for arguments that are missing or not known."""
        known = self.tool.input_schema
        if unknown := arguments.keys() - known["properties"].keys():
            raise ValueError(f"{self.tool.name} has no argument {min(unknown)}: {', '.join(known['properties'])}")
        if missing := set(known["required"]) - arguments.keys():
            raise ValueError(f"{self.tool.name} needs {min(missing)}")
        path = self.path
        for name in self.inside:
            path = path.replace(f"{{{name}}}", str(arguments[name]))
        query = {name: _text(value) for name, value in arguments.items() if name not in self.inside}
        return path, urlencode(query, doseq=True)


class Mcp:
    """An ASGI application. `document` is the OpenAPI document of the API, `door` leads to its front door."""

    def __init__(self, name: str, version: str, document: Mapping[str, Any], door: Callable[[], ASGIApp]) -> None:
        self._operations = {one.tool.name: one for one in _operations(document)}
        self._door = door
        self._server: Server[dict[str, Any]] = Server(
            name,
            version=version,
            instructions=_INSTRUCTIONS,
            on_list_tools=self._tools,
            on_call_tool=self._call,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        manager = StreamableHTTPSessionManager(self._server, stateless=True, json_response=True)
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    async def _tools(
        self, context: ServerRequestContext[dict[str, Any]], params: said.PaginatedRequestParams | None
    ) -> said.ListToolsResult:
        return said.ListToolsResult(tools=[one.tool for one in self._operations.values()])

    async def _call(
        self, context: ServerRequestContext[dict[str, Any]], params: said.CallToolRequestParams
    ) -> said.CallToolResult:
        if (operation := self._operations.get(params.name)) is None:
            return _told(f"there is no tool {params.name}: {', '.join(self._operations)}", error=True)
        try:
            path, query = operation.asked(params.arguments or {})
        except ValueError as error:
            return _told(str(error), error=True)
        status, body = await _answer(self._door(), _scope(context.request, path, query))
        if status >= 400:
            return _told(f"{status}: {orjson.loads(body)['detail']}", error=True)
        if len(body) > _ANSWER_BYTES_MAX:
            return _told(f"the answer has {len(body)} bytes: ask for less (limit, points, bucket, match)", error=True)
        return _told(body.decode(), error=False)


def _operations(document: Mapping[str, Any]) -> list[_Operation]:
    found = {
        get["operationId"]: _Operation(path, frozenset(_named(get, "path")), _tool(get))
        for path, methods in document["paths"].items()
        if (get := methods.get("get", {})).get("operationId") in OPERATIONS
    }
    return [found[name] for name in OPERATIONS]


def _tool(get: Mapping[str, Any]) -> said.Tool:
    given = [one for one in get.get("parameters", ()) if one["in"] in ("path", "query") and one["name"] != "format"]
    about = {one["name"]: one["schema"] | {"description": one.get("description", "")} for one in given}
    required = [one["name"] for one in given if one.get("required")]
    schema = {"type": "object", "properties": about, "required": required, "additionalProperties": False}
    hints = said.ToolAnnotations(read_only_hint=True, open_world_hint=False)
    text = get.get("description") or get["summary"]
    return said.Tool(name=get["operationId"], description=text, input_schema=schema, annotations=hints)


def _named(get: Mapping[str, Any], place: str) -> Sequence[str]:
    return [one["name"] for one in get.get("parameters", ()) if one["in"] == place]


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _scope(request: Any, path: str, query: str) -> Scope:
    """A GET of whoever made this request: their address and credentials, nothing else of theirs."""
    assert isinstance(request, Request)
    headers = [(name, value) for name, value in request.scope["headers"] if name == b"authorization"]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": request.scope["scheme"],
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": headers,
        "client": request.scope.get("client"),
        "server": request.scope.get("server"),
    }


async def _answer(app: ASGIApp, scope: Scope) -> tuple[int, bytes]:
    """Return status and body of what an application answers."""
    status, parts = 500, []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(parts)


def _told(text: str, *, error: bool) -> said.CallToolResult:
    return said.CallToolResult(content=[said.TextContent(text=text)], is_error=error)
