//! Small accounts as text, for tests.
