import { useEffect, useState } from "react";
import { type Ledger, type Verification, ApiError, post } from "../api/client";
import { ago, count, moment, number } from "../format";
import { useLoaded, useNow, useReloadOn } from "../live";
import { Card, Empty, Failure, Loading, PageHead } from "../parts/basics";

export function LedgerPage() {
  const { data, error, reload } = useLoaded<Ledger>("/api/ledger");
  const [failure, setFailure] = useState("");
  useReloadOn(["call", "outcome", "ask"], reload, 1000);
  const running = data?.verification?.state === "running";
  useEffect(() => {
    if (!running) return;
    const timer = window.setInterval(reload, 700);
    return () => window.clearInterval(timer);
  }, [running, reload]);
  const now = useNow();
  if (data === undefined) return error === undefined ? <Loading /> : <Failure message={error} retry={reload} />;
  const verify = () => {
    setFailure("");
    post<Verification>("/api/ledger/verify")
      .then(reload)
      .catch((problem: unknown) => setFailure(problem instanceof ApiError ? problem.message : "The verification could not be started."));
  };
  const checkpoint = data.checkpoint;
  const witnesses = Math.max(0, (checkpoint?.signers.length ?? 1) - 1);
  return (
    <>
      <PageHead title="Ledger" note="Every decision and what came of it, in a log that nobody can quietly change.">
        <button type="button" className="button primary" onClick={verify} disabled={running}>
          {running ? "Verifying…" : "Verify now"}
        </button>
      </PageHead>
      {failure !== "" && <Failure message={failure} />}
      <div className="figures three">
        <div className="figure">
          <span className="figure-value">{number(data.entries)}</span>
          <span className="figure-name">durable entries</span>
        </div>
        <div className="figure">
          <span className="figure-value">{checkpoint ? number(checkpoint.size) : "–"}</span>
          <span className="figure-name">signed by the last checkpoint</span>
        </div>
        <div className="figure">
          <span className="figure-value">{number(witnesses)}</span>
          <span className="figure-name">{witnesses === 1 ? "witness" : "witnesses"}</span>
        </div>
      </div>
      <Result verification={data.verification ?? undefined} now={now} />
      {data.copy && (
        <Card
          title="Copy"
          aside={
            data.copy.at ? (
              <time className="muted small" dateTime={data.copy.at} title={moment(data.copy.at)}>
                {ago(data.copy.at, now)}
              </time>
            ) : undefined
          }
        >
          <p className={data.copy.error ? "verdict bad" : "verdict good"}>
            <code>{data.copy.to}</code>{" "}
            {data.copy.at ? `had ${count(data.copy.entries, "entry", "entries")} after the last push.` : "has nothing yet."}
          </p>
          {data.copy.error && (
            <p>
              {data.copy.given_up ? "Given up until the next start: " : "Tried again: "}
              {data.copy.error}
            </p>
          )}
        </Card>
      )}
      <Card title="Last checkpoint">
        {checkpoint ? (
          <>
            <dl className="facts">
              <dt>Log</dt>
              <dd>
                <code>{checkpoint.origin}</code>
              </dd>
              <dt>Root</dt>
              <dd>
                <code>{checkpoint.root}</code>
              </dd>
              <dt>Signed by</dt>
              <dd>{checkpoint.signers.join(", ")}</dd>
              <dt>Folder</dt>
              <dd>
                <code>{data.folder}</code>
              </dd>
            </dl>
            <pre className="code note" tabIndex={0} aria-label="The signed note">
              {checkpoint.note}
            </pre>
          </>
        ) : (
          <Empty title="Nothing is signed yet">The first checkpoint is written with the first entries.</Empty>
        )}
      </Card>
    </>
  );
}

function Result({ verification, now }: { verification: Verification | undefined; now: number }) {
  if (verification === undefined) {
    return (
      <Card title="Verification">
        <Empty title="Not verified from here yet">
          Verify now, or without trusting this console: <code>bailiwick ledger verify</code>.
        </Empty>
      </Card>
    );
  }
  const finished = verification.finished;
  const when = finished ? (
    <time className="muted small" dateTime={finished} title={moment(finished)}>
      {ago(finished, now)}
    </time>
  ) : undefined;
  return (
    <Card title="Verification" aside={when}>
      <div role="status">
        {verification.state === "running" && <p>Reading every entry, hash and signature…</p>}
        {verification.state === "passed" && (
          <p className="verdict good">
            {count(verification.entries, "entry", "entries")} checked. Nothing is wrong.
          </p>
        )}
        {verification.state === "failed" && (
          <p className="verdict bad">
            {count(verification.faults_total, "fault")} in {count(verification.entries, "entry", "entries")}.
          </p>
        )}
        {verification.state === "could_not_run" && <p className="verdict bad">The verification could not run.</p>}
      </div>
      {verification.faults.length > 0 && (
        <ol className="faults">
          {verification.faults.map((fault, index) => (
            <li key={index}>
              <code>{fault}</code>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}
