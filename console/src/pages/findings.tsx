import { useMemo, useState } from "react";
import type { Finding, Findings } from "../api/client";
import { count, words } from "../format";
import { useLoaded } from "../live";
import { Empty, Failure, Loading, Marked, PageHead, PlaceView, Severity } from "../parts/basics";
import { go } from "../route";

const SEVERITIES = ["critical", "high", "medium", "low", "info"];

export function FindingsPage({ id }: { id: string | undefined }) {
  const { data, error, reload } = useLoaded<Findings>("/api/findings");
  const [severity, setSeverity] = useState("");
  const [text, setText] = useState("");
  const findings = data?.findings;
  const shown = useMemo(() => {
    const wanted = text.toLowerCase();
    return (findings ?? []).filter(
      (finding) =>
        (severity === "" || finding.severity === severity) &&
        (wanted === "" || `${finding.title} ${finding.message} ${finding.rule}`.toLowerCase().includes(wanted)),
    );
  }, [findings, severity, text]);
  if (data === undefined) return error === undefined ? <Loading /> : <Failure message={error} retry={reload} />;
  return (
    <>
      <PageHead title="Findings" note={`${count(data.findings.length, "finding")}, worst first. Each says what makes it true and the smallest change that ends it.`}>
        <input type="search" placeholder="Search" aria-label="Search findings" value={text} onChange={(event) => setText(event.target.value)} />
      </PageHead>
      <div className="chips" role="group" aria-label="Severity">
        {["", ...SEVERITIES].map((each) => {
          const amount = each === "" ? data.findings.length : data.findings.filter((finding) => finding.severity === each).length;
          return (
            <button type="button" key={each} className="chip" aria-pressed={severity === each} onClick={() => setSeverity(each)}>
              {each === "" ? "all" : each} <span className="chip-count">{amount}</span>
            </button>
          );
        })}
      </div>
      {shown.length === 0 ? (
        <Empty title={data.scanned ? "No finding here" : "Nothing has been scanned"}>
          {data.scanned ? "No rule matched with these filters." : "Run bailiwick scan first."}
        </Empty>
      ) : (
        <ul className="findings">
          {shown.map((finding) => (
            <FindingItem key={finding.id} finding={finding} open={finding.id === id} />
          ))}
        </ul>
      )}
    </>
  );
}

function FindingItem({ finding, open }: { finding: Finding; open: boolean }) {
  const toggle = () => go(open ? "/findings" : `/findings/${encodeURIComponent(finding.id)}`, true);
  return (
    <li className={open ? "finding open" : "finding"}>
      <button type="button" className="finding-head" aria-expanded={open} onClick={toggle}>
        <Severity severity={finding.severity} />
        <span className="finding-title">
          <strong>{finding.title}</strong>
          <span>
            <Marked text={finding.message} />
          </span>
        </span>
      </button>
      {open && <Detail finding={finding} />}
    </li>
  );
}

function Bar({ value, name }: { value: number; name: string }) {
  const percent = Math.round(value * 100);
  return (
    <svg className="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={`${name}: ${percent} of 100`}>
      <rect className="bar-ground" width="100" height="8" rx="4" />
      <rect className="bar-value" width={percent} height="8" rx="4" />
    </svg>
  );
}

function Detail({ finding }: { finding: Finding }) {
  return (
    <div className="finding-body">
      {finding.why !== "" && <p><Marked text={finding.why} /></p>}
      <div className="fix">
        <h3>Fix</h3>
        <p>
          <Marked text={finding.fix} />
        </p>
      </div>
      <h3>Evidence</h3>
      <ol className="path">
        {finding.path.map((step, index) => (
          <li key={index}>
            <span className="via">{step.via ? words(step.via) : index === 0 ? "starts at" : "and"}</span>
            <span className="step">
              <span className="step-kind">{step.kind}</span> <strong>{step.name}</strong>
              {step.note && (
                <span className="muted">
                  {" "}
                  <Marked text={step.note} />
                </span>
              )}
              <span className="places">
                {step.places.map((place) => (
                  <PlaceView key={`${place.source}:${place.line}`} {...place} />
                ))}
              </span>
            </span>
          </li>
        ))}
      </ol>
      <div className="pair">
        <div>
          <h3>Why this severity</h3>
          <ul className="factors">
            {finding.factors.map((factor) => (
              <li key={factor.name}>
                <Bar value={factor.value} name={words(factor.name)} />
                <span>
                  <strong>{words(factor.name)}</strong> <Marked text={factor.because} />
                </span>
              </li>
            ))}
          </ul>
        </div>
        <div>
          <h3>In the frameworks</h3>
          <ul className="frameworks">
            {finding.frameworks.map((item) => (
              <li key={`${item.framework} ${item.edition} ${item.id}`}>
                <strong>{item.id}</strong> {item.title}{" "}
                <span className="muted">
                  {item.framework}
                  {item.framework.includes(item.edition) ? "" : ` ${item.edition}`}
                </span>
              </li>
            ))}
          </ul>
        </div>
      </div>
    </div>
  );
}
