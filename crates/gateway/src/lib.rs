//! The doors. Every byte that an agent sends to a tool passes here:
//! identify → label → decide → record → act → record.

pub mod label;
pub mod replay;
pub mod tools;
