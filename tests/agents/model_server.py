"""A scripted model on loopback, so that real agents run without one.

usage: model_server.py SCRIPT.json   prints its port, then serves until its standard input closes.

SCRIPT.json is a list of steps, `{"tool": name, "args": {...}}` or `{"text": ...}`. The step is the number of tool
results in the conversation, so the server keeps no state. A tool is found by the end of its name among those
offered; one that is not offered is answered with the text `not offered: NAME`, which a test can see.
Speaks Anthropic messages, OpenAI responses and chat completions, and Gemini's generateContent, plain and as
server-sent events.
"""

import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCRIPT = json.load(open(sys.argv[1], encoding="utf-8"))


def choose(results, offered):
    """The scripted step after `results` tool results: ("text", text) or ("tool", name, args)."""
    if not offered:
        return ("text", "ok")  # Side calls (titles, summaries) offer no tools.
    step = SCRIPT[min(results, len(SCRIPT) - 1)]
    if "text" in step:
        return ("text", step["text"])
    name = step["tool"]
    found = [o for o in offered if o == name] or [o for o in offered if o.endswith("__" + name) or o.endswith("." + name)]
    return ("tool", found[0], step["args"]) if found else ("text", "not offered: " + name)


def anthropic(body):
    results = sum(
        isinstance(m["content"], list) and any(b.get("type") == "tool_result" for b in m["content"])
        for m in body["messages"]
    )
    chosen = choose(results, [t["name"] for t in body.get("tools", [])])
    if chosen[0] == "text":
        block, reason = {"type": "text", "text": chosen[1]}, "end_turn"
        empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": chosen[1]}
    else:
        use = "toolu_" + uuid.uuid4().hex[:16]
        block, reason = {"type": "tool_use", "id": use, "name": chosen[1], "input": chosen[2]}, "tool_use"
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(chosen[2])}
    message = {
        "id": "msg_" + uuid.uuid4().hex[:16], "type": "message", "role": "assistant", "model": body.get("model", "m"),
        "content": [block], "stop_reason": reason, "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    events = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return message, events


def openai(body):
    items = body.get("input", [])
    items = [] if isinstance(items, str) else items
    results = sum(i.get("type") in ("function_call_output", "custom_tool_call_output") for i in items)
    offered, spaces = [], {}
    for tool in body.get("tools", []):
        if tool.get("type") == "function":
            offered.append(tool["name"])
        for inner in tool.get("tools", []) if tool.get("type") == "namespace" else []:
            offered.append(inner["name"])
            spaces[inner["name"]] = tool["name"]
    chosen = choose(results, offered)
    if chosen[0] == "text":
        content = [{"type": "output_text", "text": chosen[1], "annotations": []}]
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    else:
        call = uuid.uuid4().hex[:16]
        item = {"id": "fc_" + call, "type": "function_call", "call_id": "call_" + call, "name": chosen[1],
                "arguments": json.dumps(chosen[2]), "status": "completed"}
        if chosen[1] in spaces:
            item["namespace"] = spaces[chosen[1]]
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
             "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    response = {"id": "resp_1", "object": "response", "created_at": 0, "status": "completed",
                "model": body.get("model", "m"), "output": [item], "parallel_tool_calls": False,
                "tool_choice": "auto", "tools": [], "usage": usage}
    steps = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]
    return response, [{**step, "sequence_number": n} for n, step in enumerate(steps)]


def completions(body):
    results = sum(m["role"] == "tool" for m in body["messages"])
    chosen = choose(results, [t["function"]["name"] for t in body.get("tools") or [] if "function" in t])
    message = {"role": "assistant", "content": chosen[1] if chosen[0] == "text" else None}
    if chosen[0] == "tool":
        function = {"name": chosen[1], "arguments": json.dumps(chosen[2])}
        message["tool_calls"] = [{"id": "call_" + uuid.uuid4().hex[:16], "type": "function", "function": function}]
    reason = "stop" if chosen[0] == "text" else "tool_calls"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    base = {"id": "c_1", "created": 0, "model": body.get("model", "m")}
    delta = {**message, "tool_calls": [{**call, "index": 0} for call in message.get("tool_calls", [])]}
    chunk = {**base, "object": "chat.completion.chunk"}
    events = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage},
    ]
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {**base, "object": "chat.completion", "choices": [choice], "usage": usage}, events + ["[DONE]"]


def gemini(body):
    results = sum(any("functionResponse" in part for part in c.get("parts", [])) for c in body.get("contents", []))
    offered = [f["name"] for tool in body.get("tools", []) for f in tool.get("functionDeclarations", [])]
    chosen = choose(results, offered)
    part = {"text": chosen[1]} if chosen[0] == "text" else {"functionCall": {"name": chosen[1], "args": chosen[2]}}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    whole = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}
    return whole, [whole]


def event(data):
    name = f"event: {data['type']}\n" if isinstance(data, dict) and "type" in data else ""
    return f"{name}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.answer("text/plain", b"")

    def do_GET(self):
        self.answer("application/json", b'{"object":"list","data":[],"models":[]}')

    def read(self):
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        raw = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return raw

    def do_POST(self):
        body = json.loads(self.read() or b"{}")
        path = self.path.split("?")[0]
        if path.endswith("/count_tokens"):
            return self.answer("application/json", b'{"input_tokens":1}')
        verb = path.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        speak = {"messages": anthropic, "responses": openai, "completions": completions,
                 "generateContent": gemini, "streamGenerateContent": gemini}.get(verb)
        if speak is None:
            return self.answer("application/json", b"{}")
        whole, events = speak(body)
        if body.get("stream") or verb.startswith("stream"):
            return self.answer("text/event-stream", "".join(map(event, events)).encode())
        self.answer("application/json", json.dumps(whole).encode())


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
