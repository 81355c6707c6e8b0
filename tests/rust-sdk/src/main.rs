//! The official Rust SDK as a client.
//!
//! usage: rust-sdk CONFIG.json SERVER SCRIPT.json
//!
//! Connects to one server of an MCP client configuration, over stdio or Streamable HTTP as it says, lists the tools,
//! makes the scripted calls and prints one JSON line: {"tools": [...], "results": [...]}. `$MCP_MODE` is `legacy`,
//! `2026-07-28`, or absent for what the SDK finds out by itself.

use std::collections::HashMap;
use std::error::Error;

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use serde_json::{Value, json};
use tokio::process::Command;

type Fault = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [config, name, script] = words.as_slice() else { return Err("usage: rust-sdk CONFIG SERVER SCRIPT".into()) };
    let config: Value = serde_json::from_slice(&std::fs::read(config)?)?;
    let client = connect(&config["mcpServers"][name]).await?;
    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    let steps: Vec<Value> = serde_json::from_slice(&std::fs::read(script)?)?;
    let mut results = Vec::new();
    for step in steps {
        let mut call = CallToolRequestParams::new(step["tool"].as_str().unwrap_or_default().to_owned());
        if let Some(arguments) = step["args"].as_object() {
            call = call.with_arguments(arguments.clone());
        }
        results.push(match client.call_tool(call).await {
            Ok(result) => serde_json::to_value(result)?,
            Err(error) => json!({ "error": error.to_string() }),
        });
    }
    println!("{}", json!({ "tools": tools, "results": results }));
    client.cancel().await?;
    Ok(())
}

async fn connect(server: &Value) -> Result<RunningService<RoleClient, ()>, Fault> {
    if let Some(url) = server["url"].as_str() {
        let mut headers = HashMap::new();
        for (name, value) in server["headers"].as_object().into_iter().flatten() {
            headers.insert(name.parse()?, value.as_str().unwrap_or_default().parse()?);
        }
        let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers);
        return Ok(().serve_with_lifecycle(StreamableHttpClientTransport::from_config(config), mode()).await?);
    }
    let mut command = Command::new(server["command"].as_str().unwrap_or_default());
    command.args(server["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
    for (name, value) in server["env"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().unwrap_or_default());
    }
    Ok(().serve_with_lifecycle(TokioChildProcess::new(command)?, mode()).await?)
}

fn mode() -> ClientLifecycleMode {
    let newest = vec![ProtocolVersion::V_2026_07_28];
    match std::env::var("MCP_MODE").as_deref() {
        Ok("legacy") => ClientLifecycleMode::Initialize,
        Ok(_) => ClientLifecycleMode::Discover { preferred_versions: newest },
        Err(_) => ClientLifecycleMode::Auto { preferred_versions: newest, legacy_version: None },
    }
}
