"""The official Python SDK as a client.

usage: client.py CONFIG.json SERVER SCRIPT.json

Connects to one server of an MCP client configuration, over stdio or Streamable HTTP as it says, lists the tools,
makes the scripted calls and prints one JSON line: {"tools": [...], "results": [...]}. $MCP_MODE says how the protocol's
version is found: `auto`, `legacy`, or a version. It lists again until the tools in $MCP_WANTS are there, if there are any.
"""

import asyncio
import json
import os
import sys

from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


def transport(server):
    if "url" in server:
        http = create_mcp_http_client(headers=server.get("headers", {}))
        return streamable_http_client(server["url"], http_client=http)
    env = {**os.environ, **server.get("env", {})}
    return stdio_client(StdioServerParameters(command=server["command"], args=server["args"], env=env))


async def main():
    config, name, script = sys.argv[1:]
    server = json.load(open(config, encoding="utf-8"))["mcpServers"][name]
    results = []
    wanted = set(filter(None, os.environ.get("MCP_WANTS", "").split(",")))
    async with Client(transport(server), mode=os.environ.get("MCP_MODE", "auto")) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        while not wanted <= set(tools):
            await asyncio.sleep(0.2)
            tools = [tool.name for tool in (await client.list_tools()).tools]
        for step in json.load(open(script, encoding="utf-8")):
            try:
                answer = await client.call_tool(step["tool"], step["args"])
                results.append(answer.model_dump(mode="json", by_alias=True, exclude_none=True))
            except Exception as error:  # An error of the protocol is a result of this test.
                results.append({"error": str(error)})
    print(json.dumps({"tools": tools, "results": results}))


asyncio.run(main())
