//! The inventory as a CycloneDX 1.6 bill of materials: agents and packages as components, models with
//! a model card, credentials as cryptographic material, servers as services, findings as annotations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Report;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

/// The inventory as CycloneDX. It has no serial number, so that equal reports give equal bytes.
pub fn cyclonedx(report: &Report) -> String {
    let graph = &report.graph;
    let bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": report.at,
            "tools": { "components": [annotator(report)] },
            "component": { "type": "platform", "bom-ref": "machine", "name": "the agents of one machine" },
        },
        "components": components(graph),
        "services": graph.of_kind(EntityKind::Server).map(|(at, server)| service(graph, at, server)).collect::<Vec<_>>(),
        "dependencies": dependencies(graph),
        "annotations": report.findings.iter().map(|finding| annotation(report, finding)).collect::<Vec<_>>(),
    });
    super::pretty(&bom)
}

fn annotator(report: &Report) -> Value {
    json!({ "type": "application", "name": "Bailiwick", "version": report.version })
}

fn components(graph: &Graph) -> Vec<Value> {
    let mut components: Vec<Value> = Vec::new();
    components.extend(graph.of_kind(EntityKind::Agent).map(|(_, agent)| agent_component(agent)));
    components.extend(models(graph).into_iter().map(model_component));
    components.extend(graph.of_kind(EntityKind::Package).map(|(_, package)| package_component(package)));
    components.extend(graph.of_kind(EntityKind::Credential).map(|(_, credential)| credential_component(credential)));
    components
}

fn agent_component(agent: &Entity) -> Value {
    let mut component = component("application", agent);
    component.insert("properties".to_owned(), properties(agent, &["client", "scope", "config"]));
    Value::Object(component)
}

/// The models that agents name, each once.
fn models(graph: &Graph) -> BTreeSet<&str> {
    graph.of_kind(EntityKind::Agent).filter_map(|(_, agent)| agent.text("model")).collect()
}

fn model_component(model: &str) -> Value {
    json!({
        "type": "machine-learning-model",
        "bom-ref": model_ref(model),
        "name": model,
        "modelCard": { "properties": [{ "name": "bailiwick:source", "value": "named in an agent's configuration" }] },
    })
}

fn model_ref(model: &str) -> String {
    format!("model:{model}")
}

fn package_component(package: &Entity) -> Value {
    let kind = match package.text("ecosystem") {
        Some("oci" | "docker") => "container",
        Some(_) => "library",
        None => "application",
    };
    let mut component = component(kind, package);
    if let Some(version) = package.text("version") {
        component.insert("version".to_owned(), version.into());
    }
    if package.id.key.starts_with("pkg:") {
        component.insert("purl".to_owned(), package.id.key.as_str().into());
    }
    component.insert("properties".to_owned(), properties(package, &["pinned", "ecosystem"]));
    Value::Object(component)
}

/// A credential by its salted digest: where it lies, never its value.
fn credential_component(credential: &Entity) -> Value {
    let mut component = component("cryptographic-asset", credential);
    component.insert("name".to_owned(), credential.text("kind").unwrap_or("credential").into());
    component.insert(
        "cryptoProperties".to_owned(),
        json!({
            "assetType": "related-crypto-material",
            "relatedCryptoMaterialProperties": { "type": "credential", "id": credential.id.key },
        }),
    );
    Value::Object(component)
}

fn component(kind: &str, entity: &Entity) -> Map<String, Value> {
    let places: BTreeMap<(String, Option<u32>), ()> =
        entity.evidence.iter().map(|evidence| ((evidence.source.clone(), evidence.line), ())).collect();
    let occurrences: Vec<Value> = places
        .into_keys()
        .map(|(source, line)| match line {
            Some(line) => json!({ "location": source, "line": line }),
            None => json!({ "location": source }),
        })
        .collect();
    let mut component = Map::new();
    component.insert("type".to_owned(), kind.into());
    component.insert("bom-ref".to_owned(), entity.id.to_string().into());
    component.insert("name".to_owned(), entity.name.as_str().into());
    component.insert("evidence".to_owned(), json!({ "occurrences": occurrences }));
    component
}

fn service(graph: &Graph, at: u32, server: &Entity) -> Value {
    let endpoints: Vec<&str> =
        graph.targets(at, RelationKind::Connects).map(|(_, endpoint)| endpoint.name.as_str()).collect();
    let mut service = Map::new();
    service.insert("bom-ref".to_owned(), server.id.to_string().into());
    service.insert("name".to_owned(), server.name.as_str().into());
    if !endpoints.is_empty() {
        service.insert("endpoints".to_owned(), json!(endpoints));
        service.insert("x-trust-boundary".to_owned(), true.into());
    }
    if let Some(auth) = server.flag("auth") {
        service.insert("authenticated".to_owned(), auth.into());
    }
    let tools = graph
        .targets(at, RelationKind::Offers)
        .map(|(_, offered)| json!({ "name": format!("bailiwick:{}", offered.id.kind), "value": offered.name }));
    let mut all: Vec<Value> =
        properties(server, &["transport", "scope", "client"]).as_array().cloned().unwrap_or_default();
    all.extend(tools);
    service.insert("properties".to_owned(), Value::Array(all));
    Value::Object(service)
}

fn properties(entity: &Entity, names: &[&str]) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let named = names.iter().filter_map(|name| Some((name, entity.props.get(*name)?)));
    named.map(|(name, value)| json!({ "name": format!("bailiwick:{name}"), "value": text(value) })).collect()
}

fn dependencies(graph: &Graph) -> Vec<Value> {
    let kinds = [EntityKind::Agent, EntityKind::Server];
    let from = kinds.into_iter().flat_map(|kind| graph.of_kind(kind));
    from.map(|(at, entity)| {
        let related = [RelationKind::Uses, RelationKind::Runs, RelationKind::Holds];
        let on = related.into_iter().flat_map(|kind| graph.targets(at, kind)).map(|(_, target)| target.id.to_string());
        let on: BTreeSet<String> = on.chain(entity.text("model").map(model_ref)).collect();
        json!({ "ref": entity.id.to_string(), "dependsOn": on })
    })
    .collect()
}

fn annotation(report: &Report, finding: &crate::Finding) -> Value {
    let listed = [EntityKind::Agent, EntityKind::Server, EntityKind::Package, EntityKind::Credential];
    let on_path = finding.path.iter().map(|step| &step.entity).chain([&finding.subject]);
    let subjects: BTreeSet<String> = on_path.filter(|id| listed.contains(&id.kind)).map(ToString::to_string).collect();
    json!({
        "bom-ref": finding.id,
        "subjects": subjects,
        "annotator": { "component": annotator(report) },
        "timestamp": report.at,
        "text": format!("{} ({}): {}. Fix: {}", finding.severity, finding.rule, finding.message, finding.fix),
    })
}
