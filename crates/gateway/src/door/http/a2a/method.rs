//! What can be asked of an agent, by either generation's name, and what is not taken.

use serde_json::Value;

use crate::call::{self, Malformed, Request};
use crate::peers;

/// The tool that sends a message.
pub(super) const SEND: &str = "send_message";
/// A2A's error for push notifications that are not to be had.
pub(super) const NO_PUSH: i64 = -32_003;
pub(super) const WHY_NO_PUSH: &str =
    "push notifications are not to be had behind Bailiwick: they would pass it by; use a stream, or ask for the task";
/// A2A's error for a card that is not to be had.
const NO_EXTENDED_CARD: i64 = -32_007;

/// A generation of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// 0.3 and before: `message/send`.
    Older,
    /// From 1.0: `SendMessage`.
    Newer,
}

/// A method that policy decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// As policy knows it.
    pub(super) tool: &'static str,
    pub(super) era: Era,
    /// Whether it is answered by events.
    pub(super) streams: bool,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Judged(Method),
    /// A2A's error code, and why.
    Refused(i64, &'static str),
}

impl Asked {
    /// `None`: nobody knows the method.
    pub(super) fn of(name: &str) -> Option<Self> {
        use Era::{Newer, Older};
        let judged = |tool, era, streams| Some(Self::Judged(Method { tool, era, streams }));
        match name {
            "message/send" => judged(SEND, Older, false),
            "SendMessage" => judged(SEND, Newer, false),
            "message/stream" => judged(SEND, Older, true),
            "SendStreamingMessage" => judged(SEND, Newer, true),
            "tasks/get" => judged("get_task", Older, false),
            "GetTask" => judged("get_task", Newer, false),
            "ListTasks" => judged("list_tasks", Newer, false),
            "tasks/resubscribe" => judged("follow_task", Older, true),
            "SubscribeToTask" => judged("follow_task", Newer, true),
            "tasks/cancel" => judged("cancel_task", Older, false),
            "CancelTask" => judged("cancel_task", Newer, false),
            "agent/getAuthenticatedExtendedCard" | "GetExtendedAgentCard" => {
                Some(Self::Refused(NO_EXTENDED_CARD, "the agent has one card behind Bailiwick, which is pinned"))
            }
            _ if name.starts_with("tasks/pushNotificationConfig/") || name.contains("TaskPushNotificationConfig") => {
                Some(Self::Refused(NO_PUSH, WHY_NO_PUSH))
            }
            _ => None,
        }
    }
}

/// The parameters as policy sees them, read strictly: without what claims to be labels, which is heard by itself.
pub(super) fn arguments(request: &Request) -> Result<Value, Malformed> {
    let value = call::strict_value(request.params())?;
    if !value.is_object() {
        return Err(Malformed::Parameter("params"));
    }
    Ok(peers::A2A.without(value))
}

/// Whether the agent is to send what comes of it elsewhere. Readers take the names of members in any case, with and without
/// underscores, and generations of the protocol have called them otherwise, each with the same words in it.
pub(super) fn wants_push(arguments: &Value) -> bool {
    const WORDS: &str = "pushnotification";
    let plain = |key: &str| key.replace(['_', '-'], "").to_lowercase();
    let asks = |(key, value): (&String, &Value)| plain(key).contains(WORDS) && !value.is_null();
    let named = |(key, value): (&String, &Value)| {
        plain(key) == "configuration" && value.as_object().is_some_and(|members| members.iter().any(asks))
    };
    arguments.as_object().is_some_and(|members| members.iter().any(|member| asks(member) || named(member)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_generations_ask_for_the_same() {
        let tool = |name: &str| match Asked::of(name) {
            Some(Asked::Judged(method)) => Some((method.tool, method.streams)),
            _ => None,
        };
        let pairs = [
            ("message/send", "SendMessage"),
            ("message/stream", "SendStreamingMessage"),
            ("tasks/get", "GetTask"),
            ("tasks/cancel", "CancelTask"),
            ("tasks/resubscribe", "SubscribeToTask"),
        ];
        for (older, newer) in pairs {
            assert!(tool(older).is_some());
            assert_eq!(tool(older), tool(newer), "{older}");
        }
        for name in ["tools/call", "sendMessage", "message/Send", ""] {
            assert_eq!(Asked::of(name), None, "{name}");
        }
    }

    #[test]
    fn what_would_pass_by_is_not_taken() {
        for name in ["tasks/pushNotificationConfig/set", "CreateTaskPushNotificationConfig", "GetExtendedAgentCard"] {
            assert!(matches!(Asked::of(name), Some(Asked::Refused(..))), "{name}");
        }
        let push =
            |name: &str| wants_push(&json!({"message": {}, "configuration": {name: {"url": "https://a.example"}}}));
        for name in [
            "pushNotificationConfig",
            "taskPushNotificationConfig",
            "task_push_notification_config",
            // As the SDK for Python takes them, too, in 0.3.
            "push_notification_config",
            "PUSH_NOTIFICATION_CONFIG",
            "pushNotification",
        ] {
            assert!(push(name), "{name}");
            assert!(wants_push(&json!({name: {"url": "https://a.example"}})), "{name} at the top");
        }
        assert!(wants_push(&json!({"Configuration": {"PushNotificationConfig": {"url": "https://a.example"}}})));
        assert!(!push("historyLength") && !wants_push(&json!({})));
        assert!(!wants_push(&json!({"configuration": {"pushNotificationConfig": null}})));
        let said =
            json!({"message": {"parts": [{"text": "no push notification"}]}, "metadata": {"pushNotification": 1}});
        assert!(!wants_push(&said), "what a message says is no configuration");
    }
}
