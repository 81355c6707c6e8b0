//! One file per rule. `RULES` is the whole list.
