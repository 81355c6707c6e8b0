// A real OpenID provider on loopback. usage: idp.mjs PORT AUDIENCE TOOLS
// Prints one line of JSON with its issuer and some tokens, then serves until its standard input closes.
// Token exchange (RFC 8693) is registered as oidc-provider's documentation shows for grants of one's own.
import { generateKeyPairSync } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [port, audience, tools] = process.argv.slice(2);
const installed = createRequire(`${tools}/node_modules/`);
const load = (name) => import(pathToFileURL(installed.resolve(name)));
const { default: Provider } = await load("oidc-provider");
const { SignJWT, decodeJwt, importJWK, jwtVerify } = await load("jose");
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = { ...privateKey.export({ format: "jwk" }), kid: "k1", alg: "RS256", use: "sig" };
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const client = (id) => ({
  client_id: id,
  client_secret: "secret",
  grant_types: ["client_credentials", EXCHANGE],
  redirect_uris: [],
  response_types: [],
});
const provider = new Provider(issuer, {
  jwks: { keys: [jwk] },
  clients: [client("helper"), client("outer")],
  scopes: ["mcp:read", "mcp:write"],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: "mcp:read mcp:write", accessTokenFormat: "jwt", accessTokenTTL: 300 }),
    },
  },
});
const signing = await importJWK(jwk, "RS256");
const verifying = await importJWK({ kty: jwk.kty, n: jwk.n, e: jwk.e }, "RS256");
provider.registerGrantType(
  EXCHANGE,
  async (context) => {
    const { params, client } = context.oidc;
    const { payload } = await jwtVerify(params.subject_token, verifying, { issuer });
    const act = { sub: client.clientId, ...(payload.act && { act: payload.act }) };
    const token = new SignJWT({ client_id: client.clientId, scope: params.scope, act, groups: payload.groups });
    const signed = token.setProtectedHeader({ alg: "RS256", kid: "k1", typ: "at+jwt" }).setIssuer(issuer);
    const access = await signed.setSubject(payload.sub).setAudience(params.audience).setIssuedAt().setExpirationTime("5m").sign(signing);
    const type = "urn:ietf:params:oauth:token-type:access_token";
    context.body = { access_token: access, issued_token_type: type, token_type: "Bearer", expires_in: 300 };
  },
  ["subject_token", "subject_token_type", "audience", "scope"],
);

const server = provider.listen(Number(port), "127.0.0.1", async () => {
  const ask = async (id, form) => {
    const authorization = "Basic " + Buffer.from(`${id}:secret`).toString("base64");
    const headers = { authorization, "content-type": "application/x-www-form-urlencoded" };
    const answer = await fetch(issuer + "/token", { method: "POST", headers, body: new URLSearchParams(form) });
    const body = await answer.json();
    if (!body.access_token) throw new Error(JSON.stringify(body));
    return body.access_token;
  };
  const own = (scope, resource) => ask("helper", { grant_type: "client_credentials", scope, resource });
  const user = await new SignJWT({ groups: ["guests"] })
    .setProtectedHeader({ alg: "RS256", kid: "k1" }).setIssuer(issuer).setSubject("ann").setAudience("helper")
    .setExpirationTime("5m").sign(signing);
  const exchange = (id, subject_token, scope) =>
    ask(id, {
      grant_type: EXCHANGE, subject_token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token", audience, scope,
    });
  const outer = await exchange("outer", user, "mcp:read mcp:write");
  const tokens = {
    full: await own("mcp:read mcp:write", audience),
    none: await own("", audience),
    elsewhere: await own("mcp:read mcp:write", "https://elsewhere.test/"),
    delegated: await exchange("helper", outer, "mcp:read mcp:write"),
  };
  if (decodeJwt(tokens.full).iss !== issuer) throw new Error("the provider is not itself");
  console.log(JSON.stringify({ issuer, ...tokens }));
});
process.stdin.on("end", () => server.close(() => process.exit(0))).resume();
