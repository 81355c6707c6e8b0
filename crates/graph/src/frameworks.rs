//! The frameworks that rules cite: edition, ids and titles. Facts only; what a rule means is in the rule.
//!
//! The OWASP LLM list changed the meaning of its codes from 2025 to 2026, so a code never travels
//! without its edition: a rule names the 2025 code and the 2026 one is looked up.

use crate::finding::Citation;

/// An item that a rule cites: the framework and the code in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cite {
    /// OWASP Top 10 for LLM Applications, by its code of 2025; brings the code of 2026 with it.
    Llm(&'static str),
    /// OWASP Top 10 for Agentic Applications, 2026.
    Agentic(&'static str),
    /// OWASP MCP Top 10.
    Mcp(&'static str),
    /// CSA MAESTRO, by layer.
    Maestro(&'static str),
    /// NIST SP 800-53 Rev. 5, by control.
    Nist(&'static str),
    /// MITRE ATLAS, by technique without the prefix `AML.`.
    Atlas(&'static str),
}

/// One edition of a framework.
pub struct Framework {
    /// Its title.
    pub title: &'static str,
    /// Its edition.
    pub edition: &'static str,
    /// Code and title of each item that may be cited.
    pub items: &'static [(&'static str, &'static str)],
}

impl Framework {
    fn cite(&self, id: &str) -> Option<Citation> {
        let (id, title) = self.items.iter().find(|(code, _)| *code == id)?;
        Some(Citation {
            framework: self.title.to_owned(),
            edition: self.edition.to_owned(),
            id: (*id).to_owned(),
            title: (*title).to_owned(),
        })
    }
}

/// The citations of a rule in full. A code that its edition does not have is left out; a test holds that
/// no rule has one.
pub fn citations(cites: &[Cite]) -> Vec<Citation> {
    cites.iter().flat_map(|cite| resolve(*cite)).flatten().collect()
}

fn resolve(cite: Cite) -> [Option<Citation>; 2] {
    match cite {
        Cite::Llm(id) => {
            let newer = LLM_2025_TO_2026.iter().find(|(old, _)| *old == id);
            [LLM_2025.cite(id), newer.and_then(|(_, new)| LLM_2026.cite(new))]
        }
        Cite::Agentic(id) => [AGENTIC_2026.cite(id), None],
        Cite::Mcp(id) => [MCP_2025.cite(id), None],
        Cite::Maestro(id) => [MAESTRO.cite(id), None],
        Cite::Nist(id) => [NIST.cite(id), None],
        Cite::Atlas(id) => [ATLAS.cite(&format!("AML.{id}")), None],
    }
}

/// OWASP Top 10 for LLM Applications, 2025.
pub const LLM_2025: Framework = Framework {
    title: "OWASP Top 10 for LLM Applications",
    edition: "2025",
    items: &[
        ("LLM01", "Prompt Injection"),
        ("LLM02", "Sensitive Information Disclosure"),
        ("LLM03", "Supply Chain"),
        ("LLM04", "Data and Model Poisoning"),
        ("LLM05", "Improper Output Handling"),
        ("LLM06", "Excessive Agency"),
        ("LLM07", "System Prompt Leakage"),
        ("LLM08", "Vector and Embedding Weaknesses"),
        ("LLM09", "Misinformation"),
        ("LLM10", "Unbounded Consumption"),
    ],
};

/// OWASP Top 10 for LLM Applications, 2026.
pub const LLM_2026: Framework = Framework {
    title: "OWASP Top 10 for LLM Applications",
    edition: "2026",
    items: &[
        ("LLM01", "Prompt Injection"),
        ("LLM02", "Sensitive Information Disclosure"),
        ("LLM03", "Excessive Agency"),
        ("LLM04", "Supply Chain"),
        ("LLM05", "Data and Model Poisoning"),
        ("LLM06", "Unbounded Consumption"),
        ("LLM07", "Misinformation"),
        ("LLM08", "Hidden Context Exposure"),
        ("LLM09", "Vector and Embedding Weaknesses"),
        ("LLM10", "Improper Output Handling"),
    ],
};

/// Which code of 2026 took over the meaning of a code of 2025.
const LLM_2025_TO_2026: &[(&str, &str)] = &[
    ("LLM01", "LLM01"),
    ("LLM02", "LLM02"),
    ("LLM03", "LLM04"),
    ("LLM04", "LLM05"),
    ("LLM05", "LLM10"),
    ("LLM06", "LLM03"),
    ("LLM07", "LLM08"),
    ("LLM08", "LLM09"),
    ("LLM09", "LLM07"),
    ("LLM10", "LLM06"),
];

/// OWASP Top 10 for Agentic Applications, 2026.
pub const AGENTIC_2026: Framework = Framework {
    title: "OWASP Top 10 for Agentic Applications",
    edition: "2026",
    items: &[
        ("ASI01", "Agent Goal Hijack"),
        ("ASI02", "Tool Misuse and Exploitation"),
        ("ASI03", "Identity and Privilege Abuse"),
        ("ASI04", "Agentic Supply Chain Vulnerabilities"),
        ("ASI05", "Unexpected Code Execution (RCE)"),
        ("ASI06", "Memory & Context Poisoning"),
        ("ASI07", "Insecure Inter-Agent Communication"),
        ("ASI08", "Cascading Failures"),
        ("ASI09", "Human-Agent Trust Exploitation"),
        ("ASI10", "Rogue Agents"),
    ],
};

/// OWASP MCP Top 10.
pub const MCP_2025: Framework = Framework {
    title: "OWASP MCP Top 10",
    edition: "v0.1 (2025)",
    items: &[
        ("MCP01", "Token Mismanagement & Secret Exposure"),
        ("MCP02", "Privilege Escalation via Scope Creep"),
        ("MCP03", "Tool Poisoning"),
        ("MCP04", "Software Supply Chain Attacks & Dependency Tampering"),
        ("MCP05", "Command Injection & Execution"),
        ("MCP06", "Intent Flow Subversion"),
        ("MCP07", "Insufficient Authentication & Authorization"),
        ("MCP08", "Lack of Audit and Telemetry"),
        ("MCP09", "Shadow MCP Servers"),
        ("MCP10", "Context Injection & Over-Sharing"),
    ],
};

/// CSA MAESTRO.
pub const MAESTRO: Framework = Framework {
    title: "CSA MAESTRO",
    edition: "2025",
    items: &[
        ("L1", "Foundation Models"),
        ("L2", "Data Operations"),
        ("L3", "Agent Frameworks"),
        ("L4", "Deployment & Infrastructure"),
        ("L5", "Evaluation & Observability"),
        ("L6", "Security & Compliance"),
        ("L7", "Agent Ecosystem"),
        ("X", "Cross-Layer"),
    ],
};

/// NIST SP 800-53, the controls that rules cite.
pub const NIST: Framework = Framework {
    title: "NIST SP 800-53",
    edition: "Rev. 5",
    items: &[
        ("AC-3", "Access Enforcement"),
        ("AC-3(2)", "Dual Authorization"),
        ("AC-4", "Information Flow Enforcement"),
        ("AC-5", "Separation of Duties"),
        ("AC-6", "Least Privilege"),
        ("AC-6(5)", "Privileged Accounts"),
        ("AC-6(10)", "Prohibit Non-Privileged Users from Executing Privileged Functions"),
        ("AC-17", "Remote Access"),
        ("AC-20", "Use of External Systems"),
        ("CA-3", "Information Exchange"),
        ("CM-2", "Baseline Configuration"),
        ("CM-3", "Configuration Change Control"),
        ("CM-5", "Access Restrictions for Change"),
        ("CM-7", "Least Functionality"),
        ("CM-8", "System Component Inventory"),
        ("CM-11", "User-Installed Software"),
        ("CM-14", "Signed Components"),
        ("CP-2", "Contingency Plan"),
        ("IA-2", "Identification and Authentication (Organizational Users)"),
        ("IA-4", "Identifier Management"),
        ("IA-5", "Authenticator Management"),
        ("IA-5(7)", "No Embedded Unencrypted Static Authenticators"),
        ("IA-9", "Service Identification and Authentication"),
        ("PM-5", "System Inventory"),
        ("PS-4", "Personnel Termination"),
        ("RA-3", "Risk Assessment"),
        ("SA-10", "Developer Configuration Management"),
        ("SC-3", "Security Function Isolation"),
        ("SC-5", "Denial-of-Service Protection"),
        ("SC-7", "Boundary Protection"),
        ("SC-8", "Transmission Confidentiality and Integrity"),
        ("SC-12", "Cryptographic Key Establishment and Management"),
        ("SC-39", "Process Isolation"),
        ("SI-3", "Malicious Code Protection"),
        ("SI-7", "Software, Firmware, and Information Integrity"),
        ("SI-10", "Information Input Validation"),
        ("SR-3", "Supply Chain Controls and Processes"),
        ("SR-4", "Provenance"),
        ("SR-11", "Component Authenticity"),
    ],
};

/// MITRE ATLAS, the techniques that rules cite.
pub const ATLAS: Framework = Framework {
    title: "MITRE ATLAS",
    edition: "5.6.0",
    items: &[
        ("AML.T0010.001", "AI Supply Chain Compromise: AI Software"),
        ("AML.T0012", "Valid Accounts"),
        ("AML.T0049", "Exploit Public-Facing Application"),
        ("AML.T0051.001", "LLM Prompt Injection: Indirect"),
        ("AML.T0053", "AI Agent Tool Invocation"),
        ("AML.T0055", "Unsecured Credentials"),
        ("AML.T0074", "Masquerading"),
        ("AML.T0080", "AI Agent Context Poisoning"),
        ("AML.T0081", "Modify AI Agent Configuration"),
        ("AML.T0083", "Credentials from AI Agent Configuration"),
        ("AML.T0086", "Exfiltration via AI Agent Tool Invocation"),
        ("AML.T0091.000", "Use Alternate Authentication Material: Application Access Token"),
        ("AML.T0098", "AI Agent Tool Credential Harvesting"),
        ("AML.T0101", "Data Destruction via AI Agent Tool Invocation"),
        ("AML.T0109", "AI Supply Chain Rug Pull"),
        ("AML.T0110", "AI Agent Tool Poisoning"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_2025_brings_the_code_that_has_its_meaning_in_2026() {
        let both: Vec<_> = citations(&[Cite::Llm("LLM06")]).into_iter().map(|c| (c.edition, c.id, c.title)).collect();
        let of = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(both, [of("2025", "LLM06", "Excessive Agency"), of("2026", "LLM03", "Excessive Agency")]);
    }

    #[test]
    fn every_code_of_2025_has_one_of_2026() {
        for (id, _) in LLM_2025.items {
            assert_eq!(citations(&[Cite::Llm(id)]).len(), 2, "{id}");
        }
    }
}
