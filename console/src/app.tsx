// The frame: sign-in, navigation, and the page that the address bar names.

import { useCallback, useEffect, useState } from "react";
import { ApiError, type Asks, type Session, get, onSignedOut, signIn, signOut } from "./api/client";
import { useLoaded, useReloadOn, useStream } from "./live";
import { Empty, Link } from "./parts/basics";
import { ApprovalsPage } from "./pages/approvals";
import { CallsPage } from "./pages/calls";
import { FindingsPage } from "./pages/findings";
import { InventoryPage } from "./pages/inventory";
import { LedgerPage } from "./pages/ledger";
import { PathsPage } from "./pages/paths";
import { OverviewPage } from "./pages/overview";
import { PoliciesPage } from "./pages/policies";
import { SessionsPage } from "./pages/sessions";
import { go, useRoute } from "./route";
import { type Theme, applyTheme, nextTheme, storedTheme } from "./theme";

type State = "starting" | "in" | "out";

/** The token in the address's fragment, which is cleared before anything else happens. */
function takeToken(): string | undefined {
  const token = /^#sign-in=([\w-]+)$/.exec(location.hash)?.[1];
  if (location.hash !== "") history.replaceState(null, "", location.pathname);
  return token;
}

// Taken once per load, outside of rendering: a link works once, and React may render twice.
const token = takeToken();
let signingIn: Promise<void> | undefined;

export function App() {
  const [state, setState] = useState<State>("starting");
  const [session, setSession] = useState<Session>();
  const [failure, setFailure] = useState("");
  useEffect(() => {
    onSignedOut(() => setState("out"));
    const enter = async () => {
      if (token !== undefined) await (signingIn ??= signIn(token));
      setSession(await get<Session>("/api/session"));
      setState("in");
    };
    enter().catch((error: unknown) => {
      if (token !== undefined && error instanceof ApiError) setFailure(error.message);
      setState("out");
    });
  }, []);
  if (state === "starting") return null;
  if (state === "out") return <SignedOut failure={failure} />;
  return <Frame session={session} />;
}

function SignedOut({ failure }: { failure: string }) {
  return (
    <main className="signed-out">
      <Mark />
      <h1>Sign in to Bailiwick</h1>
      {failure !== "" && (
        <p className="failure" role="alert">
          {failure}
        </p>
      )}
      <p>
        The console opens with a one-time link. Run this where Bailiwick runs; if it is already up, it prints a new link:
      </p>
      <pre>
        <code>bailiwick up</code>
      </pre>
    </main>
  );
}

function Mark() {
  return <img className="mark" src="/icon.svg" alt="" width="32" height="32" />;
}

const PAGES = [
  { path: "", name: "Overview", key: "o" },
  { path: "approvals", name: "Approvals", key: "a" },
  { path: "calls", name: "Calls", key: "c" },
  { path: "sessions", name: "Sessions", key: "s" },
  { path: "findings", name: "Findings", key: "f" },
  { path: "paths", name: "Paths", key: "t" },
  { path: "inventory", name: "Inventory", key: "i" },
  { path: "policies", name: "Policies", key: "p" },
  { path: "ledger", name: "Ledger", key: "l" },
];

function Frame({ session }: { session: Session | undefined }) {
  const route = useRoute();
  const connected = useStream(true);
  const asks = useLoaded<Asks>("/api/asks");
  useReloadOn(["ask"], asks.reload, 150);
  useShortcuts();
  const open = asks.data?.asks.length ?? 0;
  const name = PAGES.find((page) => page.path === route.page)?.name;
  useEffect(() => {
    document.title = `${open > 0 ? `(${open}) ` : ""}${name ?? "Not found"} · Bailiwick`;
  }, [open, name]);
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <aside className="side">
        <div className="brand">
          <Mark />
          <span>Bailiwick</span>
        </div>
        <nav aria-label="Pages">
          {PAGES.map((page) => (
            <NavLink key={page.path} path={page.path} name={page.name} current={route.page === page.path} badge={page.path === "approvals" ? open : 0} />
          ))}
        </nav>
        <div className="side-foot">
          <p className={connected ? "live on" : "live"} role="status">
            {connected ? "Live" : "Reconnecting…"}
          </p>
          <ThemeButton />
          <button type="button" className="quiet" onClick={() => void signOut()}>
            Sign out
          </button>
          {session !== undefined && (
            <p className="muted small">
              {session.user} · {session.version}
            </p>
          )}
        </div>
      </aside>
      <main id="main" tabIndex={-1}>
        <Page page={route.page} id={route.id} />
      </main>
    </div>
  );
}

function NavLink({ path, name, current, badge }: { path: string; name: string; current: boolean; badge: number }) {
  const to = `/${path}`;
  return (
    <a
      href={to}
      className="nav-link"
      aria-current={current ? "page" : undefined}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        go(to);
      }}
    >
      {name}
      {badge > 0 && (
        <span className="badge" aria-label={`${badge} open`}>
          {badge}
        </span>
      )}
    </a>
  );
}

function Page({ page, id }: { page: string; id: string | undefined }) {
  switch (page) {
    case "":
      return <OverviewPage />;
    case "approvals":
      return <ApprovalsPage id={id} />;
    case "calls":
      return <CallsPage id={id} />;
    case "sessions":
      return <SessionsPage id={id} />;
    case "findings":
      return <FindingsPage id={id} />;
    case "paths":
      return <PathsPage id={id} />;
    case "inventory":
      return <InventoryPage />;
    case "policies":
      return <PoliciesPage />;
    case "ledger":
      return <LedgerPage />;
    default:
      return (
        <Empty title="There is no such page">
          Go to the <Link to="/">overview</Link>.
        </Empty>
      );
  }
}

function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(storedTheme);
  const turn = useCallback(() => {
    setTheme((theme) => {
      const next = nextTheme(theme);
      applyTheme(next);
      return next;
    });
  }, []);
  return (
    <button type="button" className="quiet" onClick={turn} aria-label={`Colours: ${theme}. Change.`}>
      Colours: {theme}
    </button>
  );
}

/** `g` and a letter go to a page, as in other consoles. Never while somebody types. */
function useShortcuts(): void {
  useEffect(() => {
    let started = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "g") {
        started = event.timeStamp;
        return;
      }
      const page = event.timeStamp - started < 1500 ? PAGES.find((page) => page.key === event.key) : undefined;
      started = 0;
      if (page !== undefined) {
        event.preventDefault();
        event.stopImmediatePropagation();
        go(`/${page.path}`);
      }
    };
    window.addEventListener("keydown", onKey, { capture: true });
    return () => window.removeEventListener("keydown", onKey, { capture: true });
  }, []);
}

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}
