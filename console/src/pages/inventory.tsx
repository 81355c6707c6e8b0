import { useMemo, useState } from "react";
import type { Agent, InventoryView, Server } from "../api/client";
import { ago, count, shortPath } from "../format";
import { useLoaded, useNow } from "../live";
import { type StopState, StopBanner, StopButton, useStops } from "../parts/stops";
import { Card, Empty, Failure, Loading, PageHead, PlaceView, Severity, Tag } from "../parts/basics";

export function InventoryPage() {
  const { data, error, reload } = useLoaded<InventoryView>("/api/inventory");
  const [text, setText] = useState("");
  const now = useNow();
  const stops = useStops();
  const inventory = data?.inventory;
  const agents = useMemo(() => {
    const wanted = text.toLowerCase();
    const servers = new Map((inventory?.servers ?? []).map((server) => [server.id, server]));
    return (inventory?.agents ?? [])
      .map((agent) => ({ agent, servers: agent.servers.flatMap((id) => servers.get(id) ?? []) }))
      .filter(({ agent, servers }) => wanted === "" || JSON.stringify([agent.name, agent.client, agent.id, servers]).toLowerCase().includes(wanted));
  }, [inventory, text]);
  if (data === undefined || inventory === undefined) {
    return error === undefined ? <Loading /> : <Failure message={error} retry={reload} />;
  }
  if (!data.scanned) {
    return (
      <>
        <PageHead title="Inventory" />
        <Empty title="Nothing has been scanned">
          Run <code>bailiwick scan</code>, or start <code>bailiwick up</code> without <code>--no-scan</code>.
        </Empty>
      </>
    );
  }
  return (
    <>
      <PageHead
        title="Inventory"
        note={`${count(inventory.agents.length, "agent")}, ${count(inventory.servers.length, "server")}, ${count(inventory.credentials.length, "credential")}, ${count(inventory.packages.length, "package")}. Scanned ${ago(data.scanned, now)}; ${count(inventory.looked, "place")} looked at.`}
      >
        <input type="search" placeholder="Search" aria-label="Search the inventory" value={text} onChange={(event) => setText(event.target.value)} />
      </PageHead>
      <StopBanner state={stops} now={now} />
      {agents.length === 0 && <Empty title={text === "" ? "No agent was found" : "Nothing matches"}>{text === "" ? "Agents are found by their configuration files, also in the folder where the scan was started." : undefined}</Empty>}
      <div className="stack">
        {agents.map(({ agent, servers }) => (
          <AgentCard key={agent.id} agent={agent} servers={servers} stops={stops} />
        ))}
        <Credentials inventory={inventory} />
        <Packages inventory={inventory} />
        <Unread inventory={inventory} />
      </div>
    </>
  );
}

function AgentCard({ agent, servers, stops }: { agent: Agent; servers: Server[]; stops: StopState }) {
  const aside = (
    <span className="tags">
      {agent.worst && <Severity severity={agent.worst} />}
      {agent.scope !== "" && <Tag>{agent.scope}</Tag>}
      {agent.owners.length === 0 ? <Tag tone="warn">no owner</Tag> : <Tag>owner {agent.owners.join(", ")}</Tag>}
      {agent.mandate ? <Tag tone="good">mandate</Tag> : <Tag>no mandate</Tag>}
      {agent.client !== "" && <StopButton of={`agent ${agent.client}`} name={agent.client} state={stops} />}
    </span>
  );
  return (
    <Card title={agent.name} aside={aside}>
      <p className="places">
        {agent.places.map((place) => (
          <PlaceView key={`${place.source}:${place.line}`} source={shortPath(place.source)} line={place.line} />
        ))}
      </p>
      {servers.length === 0 ? (
        <p className="muted">It uses no MCP server.</p>
      ) : (
        <ul className="servers">
          {servers.map((server) => (
            <ServerItem key={server.id} server={server} />
          ))}
        </ul>
      )}
    </Card>
  );
}

function ServerItem({ server }: { server: Server }) {
  return (
    <li>
      <details>
        <summary>
          <span className="server-name">{server.name}</span>
          <code className="server-start">{server.start}</code>
          <span className="tags">
            {server.worst && <Severity severity={server.worst} />}
            {server.transport !== "" && <Tag>{server.transport}</Tag>}
            {server.pinned === false && <Tag tone="warn">not pinned</Tag>}
            {server.pinned === true && <Tag tone="good">pinned</Tag>}
            {server.auth === false && <Tag tone="warn">no authentication</Tag>}
            {server.tools.length > 0 && <Tag>{count(server.tools.length, "tool")}</Tag>}
          </span>
        </summary>
        <div className="server-body">
          {server.reach.length > 0 && (
            <ul className="reach">
              {server.reach.map((reach) => (
                <li key={`${reach.via} ${reach.kind} ${reach.name}`}>
                  <span className="muted">
                    {reach.via.replace("_", " ")} {reach.kind}
                  </span>{" "}
                  <code>{reach.name}</code>
                </li>
              ))}
            </ul>
          )}
          {server.tools.length === 0 ? (
            <p className="muted">
              Its tools have not been seen. They are once a protected agent connects, or with <code>bailiwick scan --live</code>.
            </p>
          ) : (
            <ul className="tools">
              {server.tools.map((tool) => (
                <li key={tool.name}>
                  <code>{tool.name}</code> <span className="muted">{tool.description}</span>{" "}
                  {tool.hints.map((hint) => (
                    <Tag key={hint} title="What the server says of itself; a claim, not a fact.">
                      says: {hint}
                    </Tag>
                  ))}
                </li>
              ))}
            </ul>
          )}
          <p className="places">
            {server.places.map((place) => (
              <PlaceView key={`${place.source}:${place.line}`} {...place} />
            ))}
          </p>
        </div>
      </details>
    </li>
  );
}

function Credentials({ inventory }: { inventory: InventoryView["inventory"] }) {
  return (
    <Card title="Credentials" aside={<span className="muted small">Known by a salted digest. Values are never kept.</span>}>
      {inventory.credentials.length === 0 ? (
        <p className="muted">None were found in the places looked at.</p>
      ) : (
        <div className="table-wrap" tabIndex={0} role="region" aria-label="Credentials">
          <table>
            <thead>
              <tr>
                <th>Name</th>
                <th>Held by</th>
                <th>Lies in</th>
                <th>Digest</th>
              </tr>
            </thead>
            <tbody>
              {inventory.credentials.map((credential) => (
                <tr key={credential.id}>
                  <td>
                    <strong>{credential.name}</strong>
                  </td>
                  <td>{credential.holders.join(", ") || <span className="muted">nobody known</span>}</td>
                  <td>
                    {credential.places.map((place) => (
                      <div key={`${place.source}:${place.line}`}>
                        <PlaceView {...place} />
                      </div>
                    ))}
                  </td>
                  <td>
                    <code>{credential.id}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function Packages({ inventory }: { inventory: InventoryView["inventory"] }) {
  if (inventory.packages.length === 0) return null;
  return (
    <Card title="Packages">
      <div className="table-wrap" tabIndex={0} role="region" aria-label="Packages">
        <table>
          <thead>
            <tr>
              <th>Package</th>
              <th>Ecosystem</th>
              <th>Version</th>
              <th>Pinned</th>
              <th>Run by</th>
            </tr>
          </thead>
          <tbody>
            {inventory.packages.map((item) => (
              <tr key={item.id}>
                <td>
                  <strong>{item.name}</strong>
                </td>
                <td>{item.ecosystem}</td>
                <td>{item.version ?? <span className="muted">any</span>}</td>
                <td>
                  {item.pinned === true && <Tag tone="good">pinned</Tag>}
                  {item.pinned === false && <Tag tone="warn">not pinned</Tag>}
                  {(item.pinned === null || item.pinned === undefined) && <span className="muted">unknown</span>}
                </td>
                <td>{item.used_by.join(", ")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function Unread({ inventory }: { inventory: InventoryView["inventory"] }) {
  if (inventory.unread.length === 0) return null;
  return (
    <Card title="Could not be read" aside={<span className="muted small">There, but not understood. Not the same as not found.</span>}>
      <ul className="unread">
        {inventory.unread.map((item, index) => (
          <li key={index}>
            <PlaceView source={item.source} line={item.line} /> <span className="muted">{item.reason}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
