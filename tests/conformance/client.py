"""A client for the conformance suite's client mode, which comes to the suite's server through Bailiwick.

usage: client.py URL        (the suite appends the address of its server, and says the scenario in the environment)

Each run has a home of its own: the suite's server is fronted as `far`, and where the scenario wants a login, this does what
an operator does: it runs `bailiwick login far` and opens the address that is printed. $CLIENT_BINARY is the program;
without it the suite's server is met directly. The tools are listed, and each is called once.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import mcp.types as types
from mcp.client.client import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
VERSION = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
BINARY = os.environ.get("CLIENT_BINARY")
DOCUMENT = "https://conformance-test.local/client-metadata.json"
LOGINS_MAX = 2
# Seconds. Some fifty gateways run side by side; only a failing one is waited for so long.
PATIENCE = 180


class Gateway:
    """Bailiwick with a home of its own, in front of the suite's server."""

    def __init__(self, home, url):
        self.home = Path(home)
        self.env = {**os.environ, "BAILIWICK_HOME": str(self.home), "HOME": str(self.home)}
        self.logins = 0
        (self.home / "policy").mkdir()
        (self.home / "policy/all.cedar").write_text('@id("all") permit (principal, action, resource);')
        (self.home / "keys").mkdir()
        (self.home / "keys/agent-test.key").write_text("a key of the test")
        self.run("upstream", "add", "far", url)

    def run(self, *words):
        subprocess.run([BINARY, *words], env=self.env, check=True, stdout=sys.stderr)

    def login(self, *more):
        """What an operator does; the browser is `urllib`."""
        self.logins += 1
        words = [BINARY, "login", "far", *self.grant(), *more]
        with subprocess.Popen(words, env=self.env, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print("login:", line, end="", file=sys.stderr)
                if re.match(r"https?://", line):
                    try:
                        urllib.request.urlopen(line.strip(), timeout=PATIENCE).read()
                    except urllib.error.URLError as error:
                        print("browser:", error, file=sys.stderr)
                        process.terminate()
        return process.returncode == 0

    def grant(self):
        def secret(name, value):
            self.env[name] = value
            return name

        def file(name, text):
            path = self.home / name
            path.write_text(text)
            return str(path)

        client = ["--client", CONTEXT["client_id"]] if "client_id" in CONTEXT else []
        if "client_secret" in CONTEXT:
            client += ["--client-secret-env", secret("CLIENT_SECRET", CONTEXT["client_secret"])]
        if "private_key_pem" in CONTEXT:
            client += ["--client-key", file("key.pem", CONTEXT["private_key_pem"])]
            client += ["--client-key-algorithm", CONTEXT["signing_algorithm"]]
        if "idp_id_token" in CONTEXT:
            provider = ["--provider", CONTEXT["idp_token_endpoint"], "--provider-client", CONTEXT["idp_client_id"]]
            return ["--grant", "enterprise", *client, *provider, "--id-token", file("id.jwt", CONTEXT["idp_id_token"])]
        if "valid_jwt" in CONTEXT:
            return ["--grant", "workload", *client, "--assertion", file("workload.jwt", CONTEXT["valid_jwt"])]
        if "client-credentials" in SCENARIO:
            return ["--grant", "client", *client]
        return client or ["--client-document", DOCUMENT]

    def up(self):
        words = [BINARY, "up", "--no-scan", "--port", "0", "--gateway-port", "0"]
        self.process = subprocess.Popen(words, env=self.env, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/mcp/NAME", line)
            if found:
                return f"http://127.0.0.1:{found.group(1)}/mcp/far"
        raise SystemExit("the gateway did not start")

    def down(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


def value(schema):
    """Something that fits a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: value(part) for name, part in schema.get("properties", {}).items()}
    return {"number": 5, "integer": 5, "boolean": True, "array": []}.get(kind, "text")


def calls(tools):
    """What the scenario says, else each tool once; one wants to see the schema that another was listed with."""
    if "toolCalls" in CONTEXT:
        return [(call["name"], call["arguments"]) for call in CONTEXT["toolCalls"]]
    called = {tool.name: value(tool.input_schema) for tool in tools}
    if "json_schema_echo" in called:
        called["json_schema_echo"] = {"schema": tools[0].input_schema}
    return called.items()


async def answers(context, params):
    """The user takes what is proposed."""
    schema = getattr(params, "requested_schema", None) or {}
    content = {name: part["default"] for name, part in schema.get("properties", {}).items() if "default" in part}
    return types.ElicitResult(action="accept", content=content)


async def talk(url, headers):
    http = create_mcp_http_client(headers=headers)
    mode = VERSION if VERSION >= "2026-07-28" else "legacy"
    async with Client(streamable_http_client(url, http_client=http), mode=mode, elicitation_callback=answers) as client:
        tools = (await client.list_tools()).tools
        for name, arguments in calls(tools):
            await client.call_tool(name, arguments)


def reason(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def main():
    url = sys.argv[1]
    if not BINARY:
        return asyncio.run(talk(url, {}))
    with tempfile.TemporaryDirectory() as home:
        gateway = Gateway(home, url)
        if SCENARIO.startswith("auth/") and not gateway.login():
            raise SystemExit("no login")
        address = gateway.up()
        try:
            while True:
                try:
                    asyncio.run(talk(address, {"x-bailiwick-key": "a key of the test"}))
                    return
                except Exception as error:
                    asked = re.search(r"`bailiwick login far([^`]*)`", reason(error))
                    print("refused:", reason(error), file=sys.stderr)
                    if not asked or gateway.logins >= LOGINS_MAX or not gateway.login(*asked.group(1).split()):
                        raise
                    time.sleep(1.1)  # A gateway that runs looks once a second.
        finally:
            gateway.down()


main()
