//! The statements of an estate by the actions that they speak of: a question sees only those that can match it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::asked::Asked;
use crate::aws::estate::{Estate, PolicyId, StatementId};
use crate::aws::pattern::Pattern;
use crate::aws::policy::Choice;

/// Every statement by what its actions begin with, and the actions that were asked for so far.
pub(super) struct Index<'a> {
    estate: &'a Estate,
    /// By the whole name of an action.
    whole: HashMap<&'a str, Vec<StatementId>>,
    /// By the service before the colon, where a wildcard comes after it.
    service: HashMap<&'a str, Vec<StatementId>>,
    /// What may speak of actions of every service.
    any: Vec<StatementId>,
    /// By the action as it was asked for.
    asked: RefCell<HashMap<String, Rc<Asked>>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(estate: &'a Estate) -> Self {
        let mut index =
            Self { estate, whole: HashMap::new(), service: HashMap::new(), any: Vec::new(), asked: RefCell::default() };
        for policy in (0..estate.policies.len()).filter_map(|at| u32::try_from(at).ok()) {
            for (id, statement) in estate.statements(PolicyId(policy)) {
                match &statement.actions {
                    Choice::Of(patterns) => index.add(id, patterns),
                    Choice::Except(_) => index.any.push(id),
                }
            }
        }
        index
    }

    fn add(&mut self, id: StatementId, patterns: &'a [Pattern]) {
        for pattern in patterns {
            let text = pattern.as_str();
            let list = match (pattern.is_open(), text.split_once(':')) {
                (false, _) => self.whole.entry(text).or_default(),
                (true, Some((service, _))) if !service.contains(['*', '?']) => self.service.entry(service).or_default(),
                (true, _) => &mut self.any,
            };
            if list.last() != Some(&id) {
                list.push(id);
            }
        }
    }

    /// An action with the statements that speak of it.
    pub(super) fn asked(&self, action: &str) -> Rc<Asked> {
        if let Some(asked) = self.asked.borrow().get(action) {
            return asked.clone();
        }
        let asked = Rc::new(self.ask(action.to_ascii_lowercase()));
        self.asked.borrow_mut().insert(action.to_owned(), asked.clone());
        asked
    }

    fn ask(&self, action: String) -> Asked {
        let service = action.split_once(':').map_or("", |(service, _)| service);
        let listed = [self.whole.get(action.as_str()), self.service.get(service), Some(&self.any)];
        let mut statements: Vec<StatementId> = listed.into_iter().flatten().flatten().copied().collect();
        statements.sort_unstable();
        statements.dedup();
        statements.retain(|id| self.estate.statement(*id).is_some_and(|one| one.has_action(&action)));
        Asked::new(action, statements)
    }
}
