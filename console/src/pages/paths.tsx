import { Fragment, useState } from "react";
import type { Paths, PathStory, Things } from "../api/client";
import { count } from "../format";
import { useLoaded } from "../live";
import { Card, Empty, Failure, Loading, Marked, PageHead, PlaceView, Tag } from "../parts/basics";
import { go } from "../route";

const QUESTIONS = [
  { id: "outside to jewels", name: "From outside to everything that matters" },
  { id: "outsiders to admin", name: "From outsiders’ text to administrators" },
  { id: "outsiders to data", name: "From outsiders’ text to data" },
  { id: "agents to jewels", name: "From agents to everything that matters" },
];

/** What is asked stands in the address: `FROM to GOAL`. */
export function PathsPage({ id }: { id: string | undefined }) {
  const question = id ?? "outside to jewels";
  const [from = "outside", to = "jewels"] = question.split(" to ");
  return (
    <>
      <PageHead title="Paths" note="How what outsiders can touch leads through agents, servers, secrets and identities to what matters, and which single grant ends most of it." />
      <Search />
      <div className="chips" role="group" aria-label="Question">
        {QUESTIONS.map((each) => (
          <button type="button" key={each.id} className="chip" aria-pressed={question === each.id} onClick={() => go(`/paths/${encodeURIComponent(each.id)}`)}>
            {each.name}
          </button>
        ))}
        {!QUESTIONS.some((each) => each.id === question) && (
          <button type="button" className="chip" aria-pressed="true">
            {asked(from, to)}
          </button>
        )}
      </div>
      <Answer key={question} from={from} to={to} />
    </>
  );
}

/** A question about one thing, in words. */
function asked(from: string, to: string): string {
  if (from === "anyone") return `Who can reach ${thing(to)}`;
  return to === "jewels" ? `What ${thing(from)} can reach` : `From ${thing(from)} to ${thing(to)}`;
}

/** `kind:key` as people read it: a digest is cut. */
function thing(id: string): string {
  const [kind = "", ...key] = id.split(":");
  const name = key.join(":");
  return key.length === 0 ? id : `${kind} ${/^[0-9a-f]{64}$/.test(name) ? `${name.slice(0, 8)}…` : name}`;
}

function Search() {
  const [text, setText] = useState("");
  // The answer stands below: what was found would stand in its way.
  const ask = (question: string) => {
    setText("");
    go(`/paths/${encodeURIComponent(question)}`);
  };
  return (
    <search className="path-search">
      <input type="search" placeholder="Search agents, servers, secrets, identities, data" aria-label="Search the graph" value={text} onChange={(event) => setText(event.target.value)} />
      {text.trim() !== "" && <Results text={text.trim()} ask={ask} />}
    </search>
  );
}

function Results({ text, ask }: { text: string; ask: (question: string) => void }) {
  const { data, error, reload } = useLoaded<Things>(`/api/search?text=${encodeURIComponent(text)}`);
  if (data === undefined) return error === undefined ? <Loading /> : <Failure message={error} retry={reload} />;
  if (data.things.length === 0) return <Empty title="Nothing has that name" />;
  return (
    <>
      <ul className="things" aria-label="Found">
        {data.things.map((thing) => (
          <li key={thing.id} className="thing">
            <span className="thing-name">
              <span className="step-kind">{thing.kind}</span> <strong>{thing.name}</strong>
            </span>
            <span className="thing-asks">
              <button type="button" className="button" onClick={() => ask(`${thing.id} to jewels`)}>
                What can it reach
              </button>
              <button type="button" className="button" onClick={() => ask(`anyone to ${thing.id}`)}>
                Who can reach it
              </button>
            </span>
          </li>
        ))}
      </ul>
      {data.total > data.things.length && <p className="muted">{data.total - data.things.length} more; another word narrows it.</p>}
    </>
  );
}

function Answer({ from, to }: { from: string; to: string }) {
  const { data, error, reload } = useLoaded<Paths>(`/api/paths?from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`);
  if (data === undefined) return error === undefined ? <Loading /> : <Failure message={error} retry={reload} />;
  if (data.paths === 0) return <Empty title="No path">Nothing leads from there to there, over {count(data.starts, "start")} and {count(data.goals, "goal")}.</Empty>;
  return (
    <div className="stack">
      <p>
        <strong>{count(data.paths, "path")}</strong>, {data.certain} certain, in {count(data.stories.length, "story", "stories")}. From {count(data.starts, "start")} to {count(data.goals, "goal")}.
      </p>
      <Endings paths={data} />
      {data.stories.map((story, index) => (
        <Story key={index} story={story} />
      ))}
    </div>
  );
}

function Endings({ paths }: { paths: Paths }) {
  if (paths.endings.length === 0) return null;
  return (
    <Card title="What ends most of it" aside={<span className="muted small">Each was tried: the search was done again without it.</span>}>
      <ol className="endings">
        {paths.endings.slice(0, 5).map((ending, index) => (
          <li key={index}>
            <p>
              Without <strong><Marked text={ending.grant.name} /></strong>, {ending.ends} of {count(paths.paths, "path")} {ending.ends === 1 ? "ends" : "end"}. <PlaceView {...ending.grant.place} />
            </p>
            {ending.patches.map((patch) => (
              <details key={patch.title} className="patch">
                <summary><Marked text={patch.title} /></summary>
                <pre tabIndex={0}>
                  <code>{patch.text}</code>
                </pre>
              </details>
            ))}
          </li>
        ))}
      </ol>
      {paths.cut.length > 0 && (
        <p className="muted">
          Without {count(paths.cut.length, "grant")} every path ends{paths.cut_is_least ? "; no fewer do" : ""}:{" "}
          {paths.cut.map((grant, index) => (
            <Fragment key={index}>
              {index > 0 && ", "}
              <PlaceView {...grant.place} />
            </Fragment>
          ))}
        </p>
      )}
    </Card>
  );
}

function Story({ story }: { story: PathStory }) {
  // The witness begins at one of the starts: that one is named, and the others go the same way.
  const start = story.steps[0]?.from;
  const others = story.from.filter((name) => name !== start);
  const from = others.length < story.from.length && start !== undefined ? [start, ...others] : story.from;
  const title = `${lead(from)} ${story.certain ? "can get" : "may get"} ${lead(story.to)}`;
  return (
    <Card title={<Marked text={title} />} aside={story.certain ? <Tag tone="bad">certain</Tag> : <Tag tone="warn">possible</Tag>}>
      <ol className="path numbered">
        {story.steps.map((step, index) => (
          <li key={index}>
            <span className="via">{index + 1}</span>
            <span className="step">
              <strong><Marked text={step.from} /></strong> <Marked text={step.how} /> <strong><Marked text={step.to} /></strong>
              {step.claims.map((claim) => (
                <span key={claim} className="muted claim">
                  <Marked text={claim} />
                </span>
              ))}
              {step.open.map((open) => (
                <span key={open} className="muted claim">
                  not known: <Marked text={open} />
                </span>
              ))}
              <span className="places">
                {step.places.slice(0, 3).map((place) => (
                  <PlaceView key={`${place.source}:${place.line}`} {...place} />
                ))}
              </span>
            </span>
          </li>
        ))}
      </ol>
      {from.length > 1 && <p className="muted">The same way from: <Marked text={from.slice(1).join(", ")} /></p>}
      {story.to.length > 1 && <p className="muted">The same way to: <Marked text={story.to.join(", ")} /></p>}
    </Card>
  );
}

function lead(names: string[]): string {
  const [first = ""] = names;
  return names.length > 1 ? `${first} and ${names.length - 1} more` : first;
}
