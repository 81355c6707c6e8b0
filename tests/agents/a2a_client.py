"""The client of the official A2A SDK.

usage: a2a_client.py ADDRESS KEY SCRIPT.json

SCRIPT is a list of texts to send, or of objects: {"text": …, "stream": true, "older": true}. Prints what came of each as one
JSON list: {"events": [...]} or {"error": …}; and the agent's card.
"""

import asyncio
import json
import sys

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import new_text_message
from a2a.types import AgentCard, Role, SendMessageRequest
from google.protobuf.json_format import MessageToDict


def of_version(card, older):
    chosen = AgentCard()
    chosen.CopyFrom(card)
    del chosen.supported_interfaces[:]
    fits = [one for one in card.supported_interfaces if one.protocol_version.startswith("0.") == older]
    chosen.supported_interfaces.extend(fits)
    return chosen


async def main():
    address, key, script = sys.argv[1:]
    results = []
    async with httpx.AsyncClient(headers={"x-bailiwick-key": key}, timeout=60) as http:
        card = await A2ACardResolver(http, address).get_agent_card()
        for step in json.load(open(script, encoding="utf-8")):
            step = {"text": step} if isinstance(step, str) else step
            config = ClientConfig(httpx_client=http, streaming=step.get("stream", False))
            client = ClientFactory(config).create(of_version(card, step.get("older", False)))
            request = SendMessageRequest(message=new_text_message(step["text"], role=Role.ROLE_USER))
            try:
                events = [MessageToDict(event) async for event in client.send_message(request)]
                results.append({"events": events})
            except Exception as error:
                results.append({"error": str(error)})
    print(json.dumps({"card": MessageToDict(card), "results": results}))


asyncio.run(main())
