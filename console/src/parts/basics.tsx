// Small parts that every page uses.

import type { ReactNode } from "react";
import { useLink } from "../route";
import { words } from "../format";

export function Link({ to, className, children, title }: { to: string; className?: string; children: ReactNode; title?: string }) {
  const link = useLink(to);
  return (
    <a {...link} className={className} title={title}>
      {children}
    </a>
  );
}

export function PageHead({ title, note, children }: { title: string; note?: ReactNode; children?: ReactNode }) {
  return (
    <header className="page-head">
      <div>
        <h1>{title}</h1>
        {note !== undefined && <p className="muted">{note}</p>}
      </div>
      {children !== undefined && <div className="page-tools">{children}</div>}
    </header>
  );
}

export function Card({ title, aside, children, className = "" }: { title?: ReactNode; aside?: ReactNode; children: ReactNode; className?: string }) {
  return (
    <section className={`card ${className}`}>
      {title !== undefined && (
        <header className="card-head">
          <h2>{title}</h2>
          {aside}
        </header>
      )}
      {children}
    </section>
  );
}

/** What to do where there is nothing yet. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children !== undefined && <p className="muted">{children}</p>}
    </div>
  );
}

export function Failure({ message, retry }: { message: string; retry?: () => void }) {
  return (
    <div className="failure" role="alert">
      <p>{message}</p>
      {retry !== undefined && (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Loading() {
  return <div className="loading" aria-label="Loading" role="status" />;
}

const EFFECTS: Record<string, string> = { permit: "Permit", deny: "Deny", ask: "Ask", unreadable: "Unreadable" };

export function Effect({ effect }: { effect: string }) {
  return <span className={`effect effect-${effect}`}>{EFFECTS[effect] ?? effect}</span>;
}

export function Severity({ severity }: { severity: string }) {
  return <span className={`severity severity-${severity}`}>{severity}</span>;
}

/** A few words in a frame; `tone` says whether they are good, bad or neither. */
export function Tag({ children, tone = "plain", title }: { children: ReactNode; tone?: "plain" | "good" | "info" | "warn" | "bad"; title?: string }) {
  return (
    <span className={`tag tag-${tone}`} title={title}>
      {children}
    </span>
  );
}

const CHOICES: Record<string, { text: string; tone: "good" | "plain" | "info" | "bad"; title: string }> = {
  user: { text: "you named it", tone: "good", title: "The user's own words name this value." },
  delegated: { text: "you pointed at it", tone: "plain", title: "The user's words point at the place it stands in." },
  system: { text: "a record, or the work itself", tone: "plain", title: "A system of record holds it where nobody can write an instruction, or it is a path or a command of the working copy that reaches no other machine, for which there are rules of their own." },
  model: { text: "the model's own", tone: "info", title: "It was seen nowhere: the model made it." },
  untrusted: { text: "outside text", tone: "bad", title: "It stands in text that somebody else wrote." },
};

/** Who chose a value. */
export function Choice({ choice }: { choice: string }) {
  const known = CHOICES[choice];
  if (known === undefined) return <Tag>{words(choice)}</Tag>;
  return (
    <Tag tone={known.tone} title={known.title}>
      {known.text}
    </Tag>
  );
}

/** Text in which names stand between backticks. */
export function Marked({ text }: { text: string }) {
  return <>{text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}

export function PlaceView({ source, line }: { source: string; line?: number | null | undefined }) {
  return (
    <code className="place">
      {source}
      {line !== undefined && line !== null && <span className="line">:{line}</span>}
    </code>
  );
}
