//! Labels: where each value of a session came from, and who therefore chose an argument.
//!
//! A [`Session`] hears what the user says, what tools were called with and what they gave back, and answers,
//! for the arguments of the next call, [`policy::Labels`]. Everything is exact bookkeeping of values: nothing
//! here guesses what a text means, and nothing here decides; `policy/packs/flow.cedar` does. What cannot be
//! seen this way (paraphrase, computation, covert channels) is listed in `docs/labels.md`.
//!
//! For each call, in this order: [`Session::labels`], then the decision; if it was let through,
//! [`Session::called`] with the entry of its intent, and [`Session::result`] with the same entry. A denied
//! call leaves no trace. [`Session::why`] gives the sentences for the operator, never for the agent.
//!
//! INVARIANT: bounded. Beyond [`VALUES_MAX`] nothing new is remembered, and from then on a value that is not
//! known counts as chosen by anyone, because absence must not be read as harmless.

mod atoms;
mod explain;
mod index;
mod python;
mod read;
mod request;
mod source;
mod trace;
pub(crate) mod words;
mod yaml;

pub use explain::Why;

use policy::{Labels, ToolFacts};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use index::{Field, Index, Place};
use request::User;

/// How many distinct values a session remembers.
pub const VALUES_MAX: usize = 400_000;
/// How many fields a session remembers; older ones keep their integrity but lose their details.
pub const FIELDS_MAX: usize = 200_000;
/// How many fields of one result are read.
const RESULT_FIELDS_MAX: usize = 10_000;
/// How many values of one field are read.
const FIELD_VALUES_MAX: usize = 20_000;

/// What one session has seen. Bounded; serialise it to carry it over a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Session {
    user: User,
    index: Index,
}

impl Session {
    /// The user's own words entered the session.
    pub fn user_says(&mut self, text: &str, entry: Option<u64>) {
        self.user.says(text, entry);
    }

    /// A call was let through, recorded as `entry`: its result will be read as coming from this place, and what
    /// was written keeps the labels it had.
    pub fn called(&mut self, tool: &ToolFacts, entry: u64, arguments: &Value) {
        let named: Vec<String> = trace::strings(arguments);
        for value in &named {
            self.index.mark_used(value);
        }
        self.index.place(Place::new(tool, entry, named));
    }

    /// A tool's result entered the session, recorded as `entry`.
    pub fn result(&mut self, tool: &ToolFacts, entry: u64, result: &Value) {
        let place = self.index.place_of(tool, entry);
        let (leaves, cut) = read::leaves(result, RESULT_FIELDS_MAX);
        if cut {
            self.index.overflow();
        }
        let kind = source::Kind::of(tool);
        let pointed = request::pointed_records(&self.user, &leaves);
        for leaf in &leaves {
            let judged = source::judge(tool, kind, leaf);
            let field = Field::new(place, leaf, judged, pointed.contains(&leaf.record));
            self.index.add(field, &leaf.text, FIELD_VALUES_MAX);
        }
    }

    /// Derives the labels of a call's arguments.
    pub fn labels(&self, tool: &ToolFacts, arguments: &Value) -> Labels {
        let traced = trace::Tracer { user: &self.user, index: &self.index, tool }.arguments(arguments);
        let request = request::judge(&self.user, &self.index, tool, &traced);
        Labels { arguments: traced, request, session: self.index.session() }
    }

    /// One sentence for each argument that speaks against a call, for the operator: argument, value (safely
    /// shortened), where it came from, and what would make it allowed. Never shown to the agent.
    pub fn why(&self, tool: &ToolFacts, arguments: &Value, labels: &Labels) -> Vec<Why> {
        explain::why(&self.index, tool, arguments, labels)
    }
}
