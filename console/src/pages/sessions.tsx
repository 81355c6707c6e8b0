// Sessions of agents as stories: what was said, what each call's values came from, what was stopped, what came back.

import { Fragment, type ReactNode } from "react";
import type { AgentSessions, AgentStory, Argument, CallDetail, Result, StoryStep } from "../api/client";
import { ago, clock, count, words } from "../format";
import { useLoaded, useReloadOn } from "../live";
import { Card, Choice, Effect, Empty, Failure, Link, Loading, Marked, PageHead, Tag } from "../parts/basics";

export function SessionsPage({ id }: { id: string | undefined }) {
  return id === undefined ? <List /> : <Story key={id} session={id} />;
}

function List() {
  const { data, error, reload } = useLoaded<AgentSessions>("/api/sessions");
  useReloadOn(["call", "outcome"], reload, 1000);
  return (
    <>
      <PageHead title="Sessions" note="Each run of an agent as a story: what was said, where every value came from, what was stopped." />
      {data === undefined && (error === undefined ? <Loading /> : <Failure message={error} retry={reload} />)}
      {data?.sessions.length === 0 && <Empty title="No session yet">The first call of an agent begins one.</Empty>}
      {data !== undefined && data.sessions.length > 0 && (
        <ul className="sessions" aria-label="Sessions">
          {data.sessions.map((each) => (
            <li key={each.session}>
              <Link to={`/sessions/${encodeURIComponent(each.session)}`} className="session">
                <time dateTime={each.until}>{clock(each.until)}</time>
                <span className="session-what">
                  <strong>{each.agent}</strong>
                  <code>{each.session}</code>
                </span>
                <span className="session-counts">
                  {count(each.calls, "call")}
                  {each.untrusted > 0 && <Tag tone="warn">{each.untrusted} with outside text</Tag>}
                  {each.asked > 0 && <Tag tone="warn">{each.asked} asked</Tag>}
                  {each.denied > 0 && <Tag tone="bad">{each.denied} denied</Tag>}
                </span>
                <span className="muted small">{ago(each.until, Date.now())}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Story({ session }: { session: string }) {
  const { data, error, reload } = useLoaded<AgentStory>(`/api/sessions/${encodeURIComponent(session)}`);
  useReloadOn(["call", "outcome", "ask"], reload, 500);
  const back = <Link to="/sessions">All sessions</Link>;
  if (data === undefined) {
    return (
      <>
        <PageHead title="Session" note={back} />
        {error === undefined ? <Loading /> : <Failure message={error} retry={reload} />}
      </>
    );
  }
  const first = data.steps.find((step) => step.call)?.call?.call;
  const taken = takenFrom(data.steps);
  return (
    <>
      <PageHead title={first === undefined ? "Session" : `${first.agent} for ${first.user}`} note={<><code>{data.session}</code> · {back}</>} />
      <Stops steps={data.steps} />
      <p className="story-legend">
        Who chose a value: <Choice choice="user" /> <Choice choice="delegated" /> <Choice choice="system" /> <Choice choice="model" /> <Choice choice="untrusted" />
      </p>
      {data.is_cut && <p className="muted">Older calls of this session are left out: bailiwick trace {data.session} tells all.</p>}
      <ol className="story">
        {data.steps.map((step) => (
          <Step key={step.entry} step={step} taken={taken.get(step.entry) ?? []} />
        ))}
      </ol>
    </>
  );
}

/** A value that a later call had from a result and that text of others wrote. */
interface Taken {
  value: string;
  by: number;
}

/** By the entry of the call whose result it stood in. */
function takenFrom(steps: StoryStep[]): Map<number, Taken[]> {
  const taken = new Map<number, Taken[]>();
  for (const { call } of steps) {
    if (!call) continue;
    for (const argument of call.arguments.filter((argument) => argument.choice === "untrusted" && !argument.hidden)) {
      for (const { entry } of argument.origins) {
        if (entry === null || entry === undefined) continue;
        const marks = taken.get(entry) ?? [];
        if (!marks.some((mark) => mark.value === argument.value)) marks.push({ value: argument.value, by: call.call.entry });
        taken.set(entry, marks);
      }
    }
  }
  return taken;
}

/** What was stopped, in one line each, with the call that its cause came from. */
function Stops({ steps }: { steps: StoryStep[] }) {
  const stopped = steps.filter((step) => step.call && step.call.call.effect !== "permit");
  if (stopped.length === 0) return <p className="muted">Nothing was stopped.</p>;
  return (
    <Card title={`${count(stopped.length, "call")} did not simply pass`}>
      <ul className="stops-list">
        {stopped.map((step) => (
          <li key={step.entry}>
            <Effect effect={step.call?.call.effect ?? ""} /> <a href={`#e${step.entry}`}>entry {step.entry}</a>{" "}
            <code>
              {step.call?.call.server}/{step.call?.call.tool}
            </code>{" "}
            {causes(step.call).map((entry) => (
              <Fragment key={entry}>
                ← <a href={`#e${entry}`}>entry {entry}</a>{" "}
              </Fragment>
            ))}
            {step.ask && <span className="muted">{answered(step)}</span>}
          </li>
        ))}
      </ul>
    </Card>
  );
}

function causes(call: CallDetail | null | undefined): number[] {
  const bad = call?.arguments.filter((argument) => argument.choice === "untrusted") ?? [];
  const entries = bad.flatMap((argument) => argument.origins.flatMap((origin) => (typeof origin.entry === "number" ? [origin.entry] : [])));
  return [...new Set(entries)];
}

function answered({ ask }: StoryStep): string {
  if (!ask) return "";
  if (ask.state === "open") return "waits for an answer";
  if (ask.state === "expired") return "nobody answered";
  return `${ask.state}${ask.by ? ` by ${ask.by}` : ""}`;
}

function Step({ step, taken }: { step: StoryStep; taken: Taken[] }) {
  if (step.said) {
    return (
      <Line step={step} kind="user" time={step.said.time} what="user">
        <p className="story-said">{step.said.text ?? <span className="muted">It was erased or cannot be read.</span>}</p>
      </Line>
    );
  }
  if (!step.call) return null;
  const { call } = step.call;
  return (
    <Line step={step} kind={call.effect} time={call.time} what="call">
      <p className="story-call">
        <Link to={`/calls/${call.entry}`} className="story-tool">
          {call.server}/<wbr />
          {call.tool}
        </Link>{" "}
        {(call.effect !== "permit" || call.uses) && <Effect effect={call.effect} />}
        {call.uses !== null && call.uses !== undefined && <Tag tone="good">approved</Tag>}
      </p>
      <Values call={step.call} />
      {call.effect !== "permit" && <Stopped step={step} />}
      {step.call.result && <Came result={step.call.result} taken={taken} />}
    </Line>
  );
}

function Line({ step, kind, time, what, children }: { step: StoryStep; kind: string; time: string; what: string; children: ReactNode }) {
  return (
    <li id={`e${step.entry}`} className={`story-step story-${kind}`}>
      <span className="story-at">
        {step.entry}
        <span className="story-kind">{what}</span>
        <time dateTime={time}>{clock(time)}</time>
      </span>
      <div className="story-body">{children}</div>
    </li>
  );
}

function Values({ call }: { call: CallDetail }) {
  if (!call.is_whole) return <p className="muted">Its arguments were erased or cannot be read.</p>;
  if (call.arguments.length === 0) return null;
  return (
    <dl className="story-values">
      {call.arguments
        .filter((argument) => argument.role !== "link")
        .map((argument) => (
          <Value key={argument.pointer} argument={argument} />
        ))}
    </dl>
  );
}

function Value({ argument }: { argument: Argument }) {
  return (
    <div className={`story-value choice-${argument.choice}`}>
      <dt>
        <code>{argument.pointer.replace(/^\//, "")}</code>
      </dt>
      <dd>
        <span className={argument.hidden ? "value hidden" : "value"}>{shown(argument.value)}</span> <Choice choice={argument.choice} />{" "}
        {argument.origins.slice(0, 3).map(
          (origin, index) =>
            typeof origin.entry === "number" && (
              <a key={index} href={`#e${origin.entry}`} className="muted small">
                {origin.source}, entry {origin.entry}
              </a>
            ),
        )}
        {argument.confidentiality === "secret" && <Tag tone="warn">secret</Tag>}
      </dd>
    </div>
  );
}

function Stopped({ step }: { step: StoryStep }) {
  const call = step.call?.call;
  if (call === undefined) return null;
  return (
    <div className={`story-stop story-stop-${call.effect}`}>
      <strong>{call.effect === "ask" ? `Asked: ${call.groups.join(", ")}` : "Denied; nothing was sent"}</strong>
      {step.ask && (
        <p>
          <Marked text={step.ask.summary} />
        </p>
      )}
      {!step.ask &&
        call.reasons.map((reason) => (
          <p key={reason.policy}>
            {reason.text || "This policy decided."} <code>{reason.policy}</code>
          </p>
        ))}
      {call.errors.map((text) => (
        <p key={text}>{text}</p>
      ))}
      {step.ask && (
        <p className="muted">
          <Link to={`/approvals/${step.ask.entry}`}>Ask {step.ask.entry}</Link>: {answered(step)}
        </p>
      )}
    </div>
  );
}

const ABSENT = {
  hidden: "What came back holds a secret and is not shown here.",
  erased: "What came back was erased with its subject's key.",
  not_kept: "Of what came back only a digest was kept.",
  unreadable: "What came back is damaged or missing: bailiwick ledger verify says more.",
};

/** What came back: in the colour of whoever could have written it, with what later calls took from it marked. */
function Came({ result, taken }: { result: Result; taken: Taken[] }) {
  const label = [result.integrity, result.confidentiality].flatMap((word) => (word ? [words(word)] : [])).join(", ");
  if (result.state !== "shown") return <p className="muted">{ABSENT[result.state]}</p>;
  const text = textOf(result.text);
  const parts = excerpt(text, taken);
  return (
    <div className={`story-came integrity-${result.integrity ?? "anyone"}`}>
      <p className="muted small">came back, {label || "not labelled"}</p>
      <div className="story-text">
        {parts.map((part, index) =>
          part.by === undefined ? (
            <Fragment key={index}>{part.text}</Fragment>
          ) : (
            <Fragment key={index}>
              <mark>{part.text}</mark>
              <a href={`#e${part.by}`} className="story-used">
                used by entry {part.by}
              </a>
            </Fragment>
          ),
        )}
      </div>
      {text.length > SHOWN_MAX && (
        <details>
          <summary>All of it</summary>
          <div className="story-text">{text}</div>
        </details>
      )}
    </div>
  );
}

const SHOWN_MAX = 420;
const AROUND = 90;

interface Part {
  text: string;
  by?: number;
}

/** The beginning, and whatever a later call used, with a little of what stands around it. */
function excerpt(text: string, taken: Taken[]): Part[] {
  const marks = taken.flatMap(({ value, by }) => {
    const at = text.indexOf(value);
    return at < 0 || value === "" ? [] : [{ from: at, to: at + value.length, by }];
  });
  marks.sort((one, other) => one.from - other.from);
  const parts: Part[] = [];
  let end = 0;
  const plain = (to: number, near: number) => {
    const first = Math.max(SHOWN_MAX, end === 0 ? 0 : end + AROUND);
    if (first >= near) parts.push({ text: text.slice(end, to) });
    else parts.push({ text: `${text.slice(end, first)} … ${text.slice(near, to)}` });
  };
  for (const { from, to, by } of marks) {
    if (from < end) continue;
    plain(from, Math.max(0, from - AROUND));
    parts.push({ text: text.slice(from, to), by });
    end = to;
  }
  const last = Math.min(text.length, Math.max(SHOWN_MAX, end === 0 ? 0 : end + AROUND));
  if (last > end) parts.push({ text: text.slice(end, last) });
  if (last < text.length) parts.push({ text: " …" });
  return parts;
}

/** The text of a tool's result; anything else as it is. */
function textOf(body: string): string {
  try {
    const value = JSON.parse(body) as { content?: { text?: string }[] };
    const texts = value.content?.flatMap((block) => (typeof block.text === "string" ? [block.text] : [])) ?? [];
    return texts.length > 0 ? texts.join("\n") : body;
  } catch {
    return body;
  }
}

function shown(value: string): string {
  return value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX)}…` : value;
}
