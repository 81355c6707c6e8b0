"""A scripted agent with hooks as Claude Code has them: says what its user said, then makes recorded calls over HTTP.

usage: client.py BAILIWICK URL      reads {"session": NAME, "prompt": TEXT, "calls": [{"tool": NAME, "args": {}}]} from standard input

The prompt goes through the hook `UserPromptSubmit`, the calls through the official SDK's client to URL; the gateway joins
both because both come from this process. Says {"tools": N}, then {"calling": I} before and {"came": I, "error": BOOL,
"text": TEXT} after each call, one JSON object a line. A call that is refused is followed by the next one all the same.
"""

import asyncio
import json
import subprocess
import sys

from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client


def say(value):
    print(json.dumps(value), flush=True)


def prompt(program, session, text):
    event = {"hook_event_name": "UserPromptSubmit", "session_id": session, "cwd": "/", "prompt": text}
    done = subprocess.run([program, "hook", "claude-code"], input=json.dumps(event), text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"the hook failed: {done.stderr}{done.stdout}")


async def main():
    program, url = sys.argv[1:]
    script = json.load(sys.stdin)
    prompt(program, script["session"], script["prompt"])
    async with Client(streamable_http_client(url), mode="legacy") as client:
        say({"tools": len((await client.list_tools()).tools)})
        for number, call in enumerate(script["calls"]):
            say({"calling": number})
            try:
                answer = await client.call_tool(call["tool"], call["args"])
                text = "".join(getattr(block, "text", "") for block in answer.content)
                say({"came": number, "error": bool(answer.is_error), "text": text})
            except Exception as error:  # An error of the protocol is an answer too.
                say({"came": number, "error": True, "text": str(error)})


asyncio.run(main())
