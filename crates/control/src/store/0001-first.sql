-- What the control plane remembers. The ledger stays the truth: `call`, `ask` and `mark` are made from
-- it and can be thrown away at any time.

CREATE TABLE scan (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    inventory TEXT NOT NULL,
    findings TEXT NOT NULL
) STRICT;

CREATE TABLE sign_in_link (
    hash BLOB PRIMARY KEY,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    cookie_hash BLOB PRIMARY KEY,
    page_hash BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE call (
    entry INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    agent TEXT NOT NULL,
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    session TEXT NOT NULL,
    effect TEXT NOT NULL,
    search TEXT NOT NULL,
    row TEXT NOT NULL,
    outcome TEXT,
    ask INTEGER
) STRICT;
CREATE INDEX call_by_time ON call (time_ms, effect);
CREATE INDEX call_by_effect ON call (effect, entry);
CREATE INDEX call_by_agent ON call (agent, entry);
CREATE INDEX call_by_server ON call (server, entry);
CREATE INDEX call_by_session ON call (session, entry);

CREATE TABLE ask (
    entry INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    row TEXT NOT NULL,
    answer TEXT
) STRICT;
CREATE INDEX ask_by_state ON ask (state, entry);

CREATE TABLE mark (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    next INTEGER NOT NULL,
    last_digest TEXT NOT NULL
) STRICT;
