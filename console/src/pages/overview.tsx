import type { ReactNode } from "react";
import type { Overview } from "../api/client";
import { ago, clock, count, number } from "../format";
import { useLoaded, useNow, useReloadOn } from "../live";
import { StopBanner, StopButton, useStops } from "../parts/stops";
import { Card, Effect, Empty, Failure, Link, Loading, Marked, PageHead, Severity } from "../parts/basics";

export function OverviewPage() {
  const { data, error, reload } = useLoaded<Overview>("/api/overview");
  useReloadOn(["call", "outcome", "ask"], reload, 800);
  const now = useNow();
  const stops = useStops();
  if (data === undefined) return error === undefined ? <Loading /> : <Failure message={error} retry={reload} />;
  return (
    <>
      <PageHead title="Overview" note={data.scan ? `Last scan ${ago(data.scan.time, now)}` : "Not scanned yet"}>
        <StopButton of="everything" name="everything" state={stops} />
      </PageHead>
      <StopBanner state={stops} now={now} />
      {data.asks.length > 0 && <Waiting overview={data} />}
      <div className="figures">
        <Figure to="/inventory" value={data.scan?.agents} name="agents" />
        <Figure to="/inventory" value={data.scan?.servers} name="servers" />
        <Figure to="/inventory" value={data.scan?.credentials} name="credentials" />
        <Figure to="/calls" value={data.day.permit + data.day.deny + data.day.ask} name="calls, 24 h" />
        <Figure to="/calls" value={data.day.deny} name="denied" tone={data.day.deny > 0 ? "bad" : ""} />
        <Figure to="/ledger" value={data.ledger.entries} name="entries" />
      </div>
      <div className="columns">
        <Worrying overview={data} />
        <div className="stack">
          <LastCalls overview={data} />
          <LedgerState overview={data} now={now} />
        </div>
      </div>
    </>
  );
}

function Figure({ to, value, name, tone = "" }: { to: string; value: number | undefined; name: string; tone?: string }) {
  return (
    <Link to={to} className={`figure ${tone}`}>
      <span className="figure-value">{value === undefined ? "–" : number(value)}</span>
      <span className="figure-name">{name}</span>
    </Link>
  );
}

function Waiting({ overview }: { overview: Overview }) {
  const [first] = overview.asks;
  if (first === undefined) return null;
  return (
    <Link to={`/approvals/${first.entry}`} className="waiting">
      <span className="waiting-count">{count(overview.asks.length, "call waits", "calls wait")} for your answer</span>
      <span className="waiting-text"><Marked text={first.summary} /></span>
    </Link>
  );
}

function Worrying({ overview }: { overview: Overview }) {
  const counts = overview.findings.filter((group) => group.count > 0);
  let body: ReactNode;
  if (overview.scan === null || overview.scan === undefined) {
    body = (
      <Empty title="Nothing has been scanned">
        Run <code>bailiwick scan</code>, or start <code>bailiwick up</code> without <code>--no-scan</code>.
      </Empty>
    );
  } else if (overview.worst.length === 0) {
    body = <Empty title="Nothing worrying was found">The scan matched no rule. What it looked at stands in the inventory.</Empty>;
  } else {
    body = (
      <ul className="rows">
        {overview.worst.map((finding) => (
          <li key={finding.id}>
            <Link to={`/findings/${encodeURIComponent(finding.id)}`} className="row">
              <Severity severity={finding.severity} />
              <span className="row-text"><Marked text={finding.message} /></span>
            </Link>
          </li>
        ))}
      </ul>
    );
  }
  return (
    <Card
      title="Worrying"
      aside={
        <span className="muted small">
          {counts.map((group) => `${group.count} ${group.severity}`).join(" · ")}
        </span>
      }
    >
      {body}
    </Card>
  );
}

function LastCalls({ overview }: { overview: Overview }) {
  return (
    <Card title="Last calls" aside={<Link to="/calls" className="small">All calls</Link>}>
      {overview.calls.length === 0 ? (
        <Empty title="No call has come through yet">
          Put Bailiwick between your agents and their tools with <code>bailiwick protect</code>.
        </Empty>
      ) : (
        <ul className="rows">
          {overview.calls.map((call) => (
            <li key={call.entry}>
              <Link to={`/calls/${call.entry}`} className="row">
                <Effect effect={call.effect} />
                <span className="row-text">
                  <span className="tool">
                    {call.server}/{call.tool}
                  </span>{" "}
                  <span className="muted">{call.preview}</span>
                </span>
                <time className="muted small" dateTime={call.time}>
                  {clock(call.time)}
                </time>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function LedgerState({ overview, now }: { overview: Overview; now: number }) {
  const { ledger } = overview;
  const verification = ledger.verification;
  return (
    <Card title="Ledger" aside={<Link to="/ledger" className="small">Verify</Link>}>
      <p>
        {count(ledger.entries, "entry", "entries")}
        {ledger.checkpoint ? `, signed up to ${number(ledger.checkpoint.size)}.` : ", not signed yet."}{" "}
        {verification?.state === "passed" && verification.finished
          ? `Verified ${ago(verification.finished, now)}, nothing wrong.`
          : verification?.state === "failed"
            ? `${count(verification.faults_total, "fault")} found.`
            : "Not verified from here yet."}
      </p>
    </Card>
  );
}
