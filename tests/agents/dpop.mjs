// A client whose tokens are bound to its key (RFC 9449), with the proofs of another library than the gateway's.
// usage: dpop.mjs ISSUER RESOURCE TOOLS
// Gets a token of idp.mjs, makes one call with it in each of several ways, and prints what came back: {way: [status, challenge, text]}.
import { createHash, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [issuer, resource, tools] = process.argv.slice(2);
const installed = createRequire(`${tools}/node_modules/`);
const { SignJWT, exportJWK, generateKeyPair } = await import(pathToFileURL(installed.resolve("jose")));
const [ours, others] = [await generateKeyPair("ES256", { extractable: true }), await generateKeyPair("ES256", { extractable: true })];

async function prove({ publicKey, privateKey }, claims) {
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: await exportJWK(publicKey) };
  return new SignJWT({ jti: randomUUID(), htm: "POST", ...claims }).setProtectedHeader(header).setIssuedAt().sign(privateKey);
}

const form = { grant_type: "client_credentials", scope: "mcp:read mcp:write", resource };
const asked = await fetch(issuer + "/token", {
  method: "POST",
  headers: {
    authorization: "Basic " + Buffer.from("helper:secret").toString("base64"),
    "content-type": "application/x-www-form-urlencoded",
    dpop: await prove(ours, { htu: issuer + "/token" }),
  },
  body: new URLSearchParams(form),
});
const { access_token: token, token_type: kind } = await asked.json();
if (kind !== "DPoP") throw new Error(`the provider gave a token of the type ${kind}`);

const ath = createHash("sha256").update(token).digest("base64url");
const meta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};
const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "test_simple_text", arguments: {}, _meta: meta } });

async function call(scheme, proof) {
  const headers = {
    authorization: `${scheme} ${token}`, "content-type": "application/json", accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "test_simple_text", ...(proof && { dpop: proof }),
  };
  const answer = await fetch(resource, { method: "POST", headers, body });
  return { said: [answer.status, answer.headers.get("www-authenticate"), await answer.text()], nonce: answer.headers.get("dpop-nonce") };
}

const good = (nonce) => prove(ours, { htu: resource, ath, ...(nonce && { nonce }) });
const proof = await good();
const first = await call("DPoP", proof);
const ways = { good: first.said };
if (first.nonce) ways.again = (await call("DPoP", await good(first.nonce))).said;
ways.replayed = (await call("DPoP", proof)).said;
ways.bearer = (await call("Bearer")).said;
ways.unproven = (await call("DPoP")).said;
ways.foreign = (await call("DPoP", await prove(others, { htu: resource, ath }))).said;
ways.elsewhere = (await call("DPoP", await prove(ours, { htu: resource + "x", ath }))).said;
console.log(JSON.stringify(ways));
