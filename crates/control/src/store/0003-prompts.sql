-- What users said, by session, for the stories of sessions. The text stays in the ledger, where it can be erased.
CREATE TABLE prompt (
    entry INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX prompt_by_session ON prompt (session, entry);

-- The index is made again from the ledger, so that what was said before is in it.
DELETE FROM call;
DELETE FROM ask;
DELETE FROM mark;
