"""An agent of the official A2A SDK.

usage: a2a_agent.py LOG SAYS [ABOUT]

Says its address on the first line of its output. Each message that reaches it is a line of LOG. It answers `SAYS`, as a
message; asked to `work`, as a task whose artifact comes in two pieces, with a file that says it, too.
"""

import json
import socket
import sys

import uvicorn
from a2a.helpers.proto_helpers import get_message_text, new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette

LOG, SAYS, ABOUT = (sys.argv + ["An agent for tests."])[1:4]


class Executor(AgentExecutor):
    async def execute(self, context, event_queue):
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(json.dumps(MessageToDict(context.message)) + "\n")
        if "work" not in get_message_text(context.message):
            await event_queue.enqueue_event(new_text_message(SAYS, context_id=context.context_id))
            return
        task = new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        half = len(SAYS) // 2
        await updater.add_artifact([Part(text=SAYS[:half])], artifact_id="a", append=False, last_chunk=False)
        parts = [Part(text=SAYS[half:]), Part(raw=SAYS.encode(), media_type="text/plain", filename="said.txt")]
        await updater.add_artifact(parts, artifact_id="a", append=True, last_chunk=True)
        await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # Before its address is told: who comes at once waits until it is served.
    listener.listen()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    versions = ["1.0", "0.3"]
    card = AgentCard(
        name="helper",
        description=ABOUT,
        version="1",
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        supported_interfaces=[
            AgentInterface(url=f"{address}/rpc", protocol_binding="JSONRPC", protocol_version=version)
            for version in versions
        ],
        skills=[AgentSkill(id="help", name="help", description="Helps.", tags=["help"])],
    )
    handler = DefaultRequestHandler(agent_executor=Executor(), task_store=InMemoryTaskStore(), agent_card=card)
    routes = create_agent_card_routes(card) + create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True)
    print(address, flush=True)
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning"))
    server.run(sockets=[listener])


main()
