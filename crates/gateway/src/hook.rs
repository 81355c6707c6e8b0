//! Hooks of agents: their built-in tools, which no MCP door sees.

pub(crate) mod claude_code;
pub(crate) mod shell;
