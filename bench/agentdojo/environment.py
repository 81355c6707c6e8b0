"""One AgentDojo suite as a real MCP server: its tools over Streamable HTTP, its checkers on standard input.

usage: environment.py SUITE

Serves http://127.0.0.1:PORT/mcp and says {"port": PORT}. Then it takes orders, one JSON object a line, and answers each:

  {"begin": {"user_task": ID, "injections": {VECTOR: TEXT}}}   a fresh environment           -> {}
  {"check": {"said": TEXT, "injection_task": ID or null}}      the benchmark's own verdicts
                                                               -> {"utility": BOOL, "security": BOOL or null, "ran": [TOOL]}

Nothing here knows of labels, policies or who stands between: what runs, runs as the benchmark runs it.
"""

import asyncio
import json
import logging
import socket
import sys
import warnings
from ast import literal_eval

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import uvicorn  # noqa: E402
from agentdojo.agent_pipeline.tool_execution import is_string_list, tool_result_to_str  # noqa: E402
from agentdojo.base_tasks import BaseUserTask  # noqa: E402
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime  # noqa: E402
from agentdojo.task_suite.load_suites import get_suite  # noqa: E402
from mcp import types as t  # noqa: E402
from mcp.server.lowlevel import Server  # noqa: E402

VERSION = "v1.1"
suite = get_suite(VERSION, sys.argv[1])
runtime = FunctionsRuntime(suite.tools)


class Run:
    """The environment of one run, before and now, and what ran in it."""

    def __init__(self, user_task, injections):
        self.task = task(user_task)
        environment = suite.load_and_inject_default_environment(injections)
        if isinstance(self.task, BaseUserTask):
            environment = self.task.init_environment(environment)
        self.before = environment.model_copy(deep=True)
        self.now = environment
        self.calls = []

    def call(self, name, args):
        # As the benchmark's executor does it.
        args = {key: literal_eval(value) if isinstance(value, str) and is_string_list(value) else value for key, value in args.items()}
        self.calls.append(FunctionCall(function=name, args=args))
        result, error = runtime.run_function(self.now, name, args)
        return tool_result_to_str(result), error

    def verdict(self, of, said):
        return bool(suite._check_task_result(of, said, self.before, self.now, self.calls))


def task(name):
    return suite.injection_tasks[name] if name.startswith("injection") else suite.user_tasks[name]


run = None


async def list_tools(_context, _params):
    listed = [t.Tool(name=f.name, description=f.description, input_schema=f.parameters.model_json_schema()) for f in suite.tools]
    return t.ListToolsResult(tools=listed)


async def call_tool(_context, params):
    text, error = run.call(params.name, dict(params.arguments or {}))
    return t.CallToolResult(content=[t.TextContent(type="text", text=error or text)], is_error=error is not None)


def order(line):
    global run
    asked = json.loads(line)
    if "begin" in asked:
        run = Run(asked["begin"]["user_task"], asked["begin"]["injections"])
        return {}
    said, injection = asked["check"]["said"], asked["check"]["injection_task"]
    security = run.verdict(task(injection), said) if injection else None
    return {"utility": run.verdict(run.task, said), "security": security, "ran": [call.function for call in run.calls]}


def say(value):
    print(json.dumps(value), flush=True)


async def main():
    server = Server(suite.name, version=VERSION, on_list_tools=list_tools, on_call_tool=call_tool)
    listener = socket.create_server(("127.0.0.1", 0))
    http = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error"))
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    say({"port": listener.getsockname()[1]})
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    # On the loop's own thread, so that an order never meets a call that runs.
    while line := await lines.readline():
        say(order(line))
    http.should_exit = True
    await serving


asyncio.run(main())
