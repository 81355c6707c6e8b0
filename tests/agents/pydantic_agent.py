"""A real pydantic-ai agent whose model is a function: no server, no network.

usage: pydantic_agent.py MCP_CONFIG.json SCRIPT.json

Starts every stdio server of the configuration and makes the scripted calls; prints one JSON line with the results.
"""

import asyncio
import json
import sys

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse, RetryPromptPart, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel

CONFIG = json.load(open(sys.argv[1], encoding="utf-8"))
SCRIPT = json.load(open(sys.argv[2], encoding="utf-8"))


def model(messages, _info):
    seen = [p for m in messages for p in m.parts if isinstance(p, (ToolReturnPart, RetryPromptPart))]
    step = SCRIPT[min(len(seen), len(SCRIPT) - 1)]
    if "text" in step:
        results = [str(p.content) for p in seen]
        return ModelResponse(parts=[TextPart(json.dumps(results))])
    return ModelResponse(parts=[ToolCallPart(step["tool"], step["args"])])


async def main():
    toolsets = [
        # Five seconds for a server to start, unless it is told otherwise, are few on a loaded machine.
        MCPToolset(StdioTransport(command=s["command"], args=s.get("args", []), env=s.get("env")), init_timeout=180)
        for s in CONFIG["mcpServers"].values()
    ]
    agent = Agent(FunctionModel(model), toolsets=toolsets, retries=5)
    async with agent:
        print((await agent.run("go")).output)


asyncio.run(main())
