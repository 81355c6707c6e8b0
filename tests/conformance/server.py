"""The server that the official MCP conformance suite expects to find: its tools, resources and prompts by name.

usage: server.py PORT [handshake|stateless]   serves Streamable HTTP on http://127.0.0.1:PORT/mcp

The suite's verdicts on this server alone are the golden lines beside this file; through the gateway they must be the
same, scenario by scenario. With a second word it speaks that era of the protocol only, and answers the other as servers
do that do not know it.
"""

import asyncio
import base64
import itertools
import json
import sys
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer, RequestStateSecurity
from mcp.server.mcpserver.prompts.base import Prompt, UserMessage
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.shared.exceptions import MCPError
from mcp import types as t
from pydantic import BaseModel, Field

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SILENCE = base64.b64encode(
    b"RIFF\x26\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x02\x00\x00\x00\x80\x80"
).decode()

server = MCPServer(
    name="bailiwick-conformance-fixture",
    version="1.0.0",
    request_state_security=RequestStateSecurity(keys=[b"a fixture has no secrets: 32 bytes.."]),
)


class Events(EventStore):
    """Every event of every stream, in order, so that a client can resume after any of them."""

    def __init__(self):
        self.seen = []
        self.numbers = itertools.count(1)

    async def store_event(self, stream_id, message):
        number = next(self.numbers)
        self.seen.append((number, stream_id, message))
        return str(number)

    async def replay_events_after(self, last_event_id, send_callback):
        stream = next((s for n, s, _ in self.seen if str(n) == last_event_id), None)
        for number, of, message in self.seen:
            if stream is not None and of == stream and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def text(value):
    return t.TextContent(type="text", text=value)


def image():
    return t.ImageContent(type="image", data=PIXEL, mime_type="image/png")


def embedded(uri, kind, value):
    return t.EmbeddedResource(type="resource", resource=t.TextResourceContents(uri=uri, mime_type=kind, text=value))


# Content of every kind.


@server.tool()
def test_simple_text() -> str:
    """Answers plain text."""
    return "This is a simple text response for testing."


@server.tool()
def test_image_content() -> list[t.ImageContent]:
    """Answers an image."""
    return [image()]


@server.tool()
def test_audio_content() -> list[t.AudioContent]:
    """Answers a sound."""
    return [t.AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")]


@server.tool()
def test_embedded_resource() -> list[t.EmbeddedResource]:
    """Answers an embedded resource."""
    return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


@server.tool()
def test_multiple_content_types() -> list[t.TextContent | t.ImageContent | t.EmbeddedResource]:
    """Answers text, an image and a resource at once."""
    resource = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return [text("Multiple content types test:"), image(), resource]


@server.tool()
def test_error_handling() -> str:
    """Fails on purpose."""
    raise RuntimeError("This tool intentionally returns an error for testing")


# Notifications while a call runs.


@server.tool()
async def test_tool_with_logging(ctx: Context) -> str:
    """Logs three times."""
    for step in ("started", "processing data", "completed"):
        await ctx.info("Tool " + (step if " " in step else "execution " + step))
        await asyncio.sleep(0.05)
    return "Tool with logging executed successfully"


@server.tool()
async def test_tool_with_progress(ctx: Context) -> str:
    """Reports progress three times and answers the token."""
    for done in (0, 50, 100):
        await ctx.report_progress(progress=done, total=100, message=f"Completed step {done} of 100")
        await asyncio.sleep(0.05)
    meta = ctx.request_context.meta if ctx.request_context else None
    return str(meta.get("progress_token") if meta else 0)


@server.tool()
async def test_reconnection(ctx: Context) -> str:
    """Closes its stream in the middle, so that the client must come back for the rest."""
    await ctx.info("Before disconnect")
    await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    await ctx.info("After reconnect")
    return "Reconnection test completed"


# Requests from the server to the client.


@server.tool()
async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the client's model."""
    try:
        message = t.SamplingMessage(role="user", content=text(prompt))
        # Related to this request, so that it travels on its stream and needs no standing one.
        answer = await ctx.session.create_message(messages=[message], max_tokens=100, related_request_id=ctx.request_id)
        return "LLM response: " + (answer.content.text if answer.content.type == "text" else "no text")
    except Exception as error:
        return f"Sampling not supported or error: {error}"


async def elicit(ctx, message, schema, lead):
    try:
        answer = await ctx.elicit(message=message, schema=schema)
        content = answer.data.model_dump_json() if answer.action == "accept" else "{}"
        return f"{lead}: action={answer.action}, content={content}"
    except Exception as error:
        return f"Elicitation not supported or error: {error}"


class Reply(BaseModel):
    response: str = Field(description="User's response")


@server.tool()
async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the user."""
    return await elicit(ctx, message, Reply, "User response")


def choices(**schema):
    return Field(json_schema_extra=schema)


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field(default="active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


def titled(*pairs):
    return [{"const": const, "title": title} for const, title in pairs]


class Enums(BaseModel):
    untitledSingle: str = choices(enum=["option1", "option2", "option3"])
    titledSingle: str = choices(oneOf=titled(("value1", "First"), ("value2", "Second"), ("value3", "Third")))
    untitledMulti: list[str] = choices(items={"type": "string", "enum": ["option1", "option2", "option3"]})
    titledMulti: list[str] = choices(items={"anyOf": titled(("value1", "First"), ("value2", "Second"), ("value3", "Third"))})
    legacyEnum: str = choices(enum=["opt1", "opt2", "opt3"], enumNames=["One", "Two", "Three"])


@server.tool()
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks the user with a default for every primitive type."""
    return await elicit(ctx, "Please provide user information", Defaults, "Elicitation result")


@server.tool()
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks the user with every form of enumeration."""
    return await elicit(ctx, "Please select values", Enums, "Elicitation completed")


# Headers and capabilities.


@server.tool()
def test_x_mcp_header(
    region: Annotated[str, Field(description="Mirrored into a header", json_schema_extra={"x-mcp-header": "Region"})] = "<none>",
) -> str:
    """Has an argument that must also stand in a header."""
    return f"region={region}"


@server.tool()
async def test_missing_capability(ctx: Context) -> str:
    """Refuses a client that cannot sample."""
    able = ctx.session.client_capabilities
    if able is None or able.sampling is None:
        raise MCPError(
            code=t.MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="This tool requires the client 'sampling' capability",
            data={"requiredCapabilities": {"sampling": {}}},
        )
    return "Client declared sampling capability; proceeding."


# Results that need input: the client answers and calls again.


def form(message, **properties):
    schema = {"type": "object", "properties": {k: {"type": v} for k, v in properties.items()}, "required": list(properties)}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt, tokens):
    message = t.SamplingMessage(role="user", content=text(prompt))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[message], max_tokens=tokens))


def need(state=None, **requests):
    return t.InputRequiredResult(input_requests=requests, request_state=state)


def accepted(answer, field):
    return answer.content.get(field, "?") if isinstance(answer, t.ElicitResult) and answer.content else "?"


@server.tool()
async def test_input_required_result_elicitation(ctx: Context) -> str | t.InputRequiredResult:
    """Needs a name."""
    given = ctx.input_responses or {}
    if "user_name" in given:
        return f"Hello, {accepted(given['user_name'], 'name')}!"
    return need(user_name=form("What is your name?", name="string"))


@server.tool()
async def test_input_required_result_sampling(ctx: Context) -> str | t.InputRequiredResult:
    """Needs the client's model."""
    answer = (ctx.input_responses or {}).get("capital_question")
    if answer is None:
        return need(capital_question=sample("What is the capital of France?", 100))
    plain = isinstance(answer, t.CreateMessageResult) and answer.content.type == "text"
    return "Model said: " + (answer.content.text if plain else "?")


@server.tool()
async def test_input_required_result_list_roots(ctx: Context) -> str | t.InputRequiredResult:
    """Needs the client's roots."""
    answer = (ctx.input_responses or {}).get("client_roots")
    if answer is None:
        return need(client_roots=t.ListRootsRequest())
    return f"Client exposed {len(answer.roots) if isinstance(answer, t.ListRootsResult) else 0} root(s)."


@server.tool()
async def test_input_required_result_request_state(ctx: Context) -> str | t.InputRequiredResult:
    """Needs a confirmation and its own state back."""
    if "confirm" in (ctx.input_responses or {}) and ctx.request_state == "nonce":
        return "state-ok: confirmation received"
    return need("nonce", confirm=form("Please confirm", ok="boolean"))


@server.tool()
async def test_input_required_result_tampered_state(ctx: Context) -> str | t.InputRequiredResult:
    """Needs its own state back unchanged; the SDK refuses any other."""
    if ctx.request_state is not None:
        return f"state-ok: {ctx.request_state}"
    return need("round-1", confirm=form("Please confirm", ok="boolean"))


@server.tool()
async def test_input_required_result_multiple_inputs(ctx: Context) -> str | t.InputRequiredResult:
    """Needs three things at once."""
    if {"user_name", "greeting", "client_roots"} <= (ctx.input_responses or {}).keys():
        return "All inputs received."
    name = form("What is your name?", name="string")
    return need("multiple-inputs", user_name=name, greeting=sample("Generate a greeting", 50), client_roots=t.ListRootsRequest())


@server.tool()
async def test_input_required_result_multi_round(ctx: Context) -> str | t.InputRequiredResult:
    """Needs two things, one after the other."""
    given = ctx.input_responses or {}
    state = json.loads(ctx.request_state) if ctx.request_state else {"round": 0}
    if state["round"] == 1 and "step1" in given:
        kept = json.dumps({"round": 2, "name": accepted(given["step1"], "name")})
        return need(kept, step2=form("Step 2: What is your favorite color?", color="string"))
    if state["round"] == 2 and "step2" in given:
        return f"{state['name']} likes {accepted(given['step2'], 'color')}."
    return need(json.dumps({"round": 1}), step1=form("Step 1: What is your name?", name="string"))


@server.tool()
async def test_input_required_result_capabilities(ctx: Context) -> t.InputRequiredResult:
    """Needs only what the client declared that it can give."""
    able = ctx.client_capabilities
    requests = {}
    if able is None or able.sampling is not None:
        requests["sample"] = sample("Say hello", 50)
    if able is None or able.elicitation is not None:
        requests["ask"] = form("What is your name?", name="string")
    return need("capability-gated", **requests)


# A schema with the keywords of JSON Schema 2020-12, which must arrive as it is.


@server.tool(name="json_schema_2020_12_tool")
def json_schema_2020_12_tool() -> str:
    """Has a schema with every keyword that the suite looks for."""
    return "json_schema_2020_12_tool"


server._tool_manager._tools["json_schema_2020_12_tool"].parameters = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


# Lists that change.


@server.tool()
async def test_trigger_tool_change(ctx: Context) -> str:
    """Changes the list of tools and says so."""
    server.add_tool(lambda: "passing", name="test_passing_tool")
    server.remove_tool("test_passing_tool")
    await ctx.notify_tools_changed()
    return "tool list changed"


@server.tool()
async def test_trigger_prompt_change(ctx: Context) -> str:
    """Changes the list of prompts and says so."""
    server.add_prompt(Prompt.from_function(lambda: "passing", name="test_passing_prompt", description="passing"))
    server.remove_prompt("test_passing_prompt")
    await ctx.notify_prompts_changed()
    return "prompt list changed"


# Resources.


@server.resource("test://static-text")
def static_text() -> str:
    """Text that never changes."""
    return "This is the content of the static text resource."


@server.resource("test://static-binary")
def static_binary() -> bytes:
    """Bytes that never change."""
    return base64.b64decode(PIXEL)


@server.resource("test://template/{id}/data")
def template(id: str) -> str:
    """One resource for each id."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@server.resource("test://watched-resource")
def watched() -> str:
    """A resource that can be watched."""
    return "Watched resource content"


# Prompts.


def said(content):
    return [UserMessage(role="user", content=content)]


@server.prompt()
def test_simple_prompt() -> list[UserMessage]:
    """Has no arguments."""
    return said(text("This is a simple prompt for testing."))


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """Has two arguments."""
    return said(text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))


@server.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """Carries a resource."""
    resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return said(resource) + said(text("Please process the embedded resource above."))


@server.prompt()
def test_prompt_with_image() -> list[UserMessage]:
    """Carries an image."""
    return said(image()) + said(text("Please analyze the image above."))


@server.prompt()
async def test_input_required_result_prompt(ctx: Context) -> list[UserMessage] | t.InputRequiredResult:
    """Needs a context first."""
    given = ctx.input_responses or {}
    if "user_context" in given:
        return said(text(f"Use the following context: {accepted(given['user_context'], 'context')}"))
    return need(user_context=form("What context should the prompt use?", context="string"))


# What the suite expects to be accepted and forgotten.


async def forget(_ctx, _params):
    return t.EmptyResult()


for method, params in (
    ("logging/setLevel", t.SetLevelRequestParams),
    ("resources/subscribe", t.SubscribeRequestParams),
    ("resources/unsubscribe", t.UnsubscribeRequestParams),
):
    server._lowlevel_server.add_request_handler(method, params, forget)


@server.completion()
async def complete(ref, argument, context):
    return t.Completion(values=[], total=0, has_more=False)


class OneEra:
    """Refuses what belongs to the other era."""

    def __init__(self, app, era):
        self.app, self.era = app, era

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_stateless = dict(scope["headers"]).get(b"mcp-protocol-version", b"") >= b"2026"
        if is_stateless == (self.era == "stateless"):
            return await self.app(scope, receive, send)
        error = {"code": -32000, "message": "Bad Request: no such version of the protocol is spoken here"}
        body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
        await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})


if len(sys.argv) > 2:
    both = server.streamable_http_app
    server.streamable_http_app = lambda **options: OneEra(both(**options), sys.argv[2])

server.run(transport="streamable-http", port=int(sys.argv[1]), event_store=Events(), retry_interval=100)
