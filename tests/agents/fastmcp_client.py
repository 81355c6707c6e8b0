"""FastMCP's client.

usage: fastmcp_client.py CONFIG.json SERVER SCRIPT.json

Does what `client.py` does, and prints the same.
"""

import asyncio
import json
import os
import sys

from fastmcp import Client


async def main():
    config, name, script = sys.argv[1:]
    server = json.load(open(config, encoding="utf-8"))["mcpServers"][name]
    if "command" in server:
        server["env"] = {**os.environ, **server.get("env", {})}
    results = []
    async with Client({"mcpServers": {name: server}}) as client:
        tools = [tool.name for tool in await client.list_tools()]
        for step in json.load(open(script, encoding="utf-8")):
            answer = await client.call_tool(step["tool"], step["args"], raise_on_error=False)
            content = [part.model_dump(mode="json", by_alias=True, exclude_none=True) for part in answer.content]
            results.append({"content": content, "isError": answer.is_error})
    print(json.dumps({"tools": tools, "results": results}))


asyncio.run(main())
