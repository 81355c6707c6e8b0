// The official TypeScript SDK as a client.
//
// usage: client.mjs CONFIG.json SERVER SCRIPT.json   (NODE_PATH-free: the SDK is found from TOOLS/node_modules)
//
// Connects to one server of an MCP client configuration, over stdio or Streamable HTTP as it says, lists the tools,
// makes the scripted calls and prints one JSON line: {"tools": [...], "results": [...]}. It lists again until the tools in
// $MCP_WANTS are there, if there are any.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.BAILIWICK_TEST_TOOLS + "/");
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

const [config, name, script] = process.argv.slice(2);
const server = JSON.parse(readFileSync(config, "utf8")).mcpServers[name];
const transport = server.url
  ? new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers: server.headers ?? {} } })
  : new StdioClientTransport({ command: server.command, args: server.args, env: { ...process.env, ...server.env } });

const client = new Client({ name: "typescript-sdk-test", version: "1" });
await client.connect(transport);
const list = async () => (await client.listTools()).tools.map((tool) => tool.name);
const wanted = (process.env.MCP_WANTS ?? "").split(",").filter(Boolean);
let tools = await list();
while (!wanted.every((tool) => tools.includes(tool))) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  tools = await list();
}
const results = [];
for (const step of JSON.parse(readFileSync(script, "utf8"))) {
  try {
    results.push(await client.callTool({ name: step.tool, arguments: step.args }));
  } catch (error) {
    results.push({ error: String(error) });
  }
}
console.log(JSON.stringify({ tools, results }));
await client.close();
