//! Statements between two gateways, and everything that somebody could make of one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use policy::{Confidentiality, Integrity};

use super::*;
use crate::call::Message;

const NOW: i64 = 1_700_000_000;
const MEMBER: &str = "dev.bailiwick/labels";
const DOOR: Door = Door::McpHttp;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn peers(dir: &Path, name: &str) -> Peers {
    Peers::open(&dir.join(name), Vec::new()).unwrap()
}

fn peer(name: &str, of: &Peers) -> Peer {
    let (server, agent) = (Some("files".to_owned()), Some("east".to_owned()));
    Peer { name: name.to_owned(), key: of.own.public(), server, agent, lifts: false, credential: None }
}

fn request(meta: Option<&str>) -> Request {
    let meta = meta.map(|meta| format!(r#","_meta":{{"{MEMBER}":{meta}}}"#));
    request_with(&meta.unwrap_or_default())
}

fn request_with(meta: &str) -> Request {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"write","arguments":{{"text":"k"}}{meta}}}}}"#
    );
    match Message::read(text.into()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn subject(text: &str) -> Subject {
    Subject::Tool { name: "write".to_owned(), arguments: json!({ "text": text }) }
}

fn secret() -> Said {
    let (integrity, confidentiality) = (Integrity::Anyone, Confidentiality::Secret);
    let choice = Some(Choice::Untrusted);
    Said { integrity, confidentiality, classes: Default::default(), choice, prose: false, origins: Vec::new() }
}

/// What `from` would send to `to` about the call of these tests.
fn said(from: &Peers, to: &Peers, time: Timestamp) -> String {
    let told = Told { values: BTreeMap::from([("/text".to_owned(), secret())]), ..Told::default() };
    let about = statement::about_call("write", &json!({"text": "k"})).unwrap();
    let (nonce, to) = (statement::nonce().unwrap(), to.own.public());
    Draft { kind: Kind::Call, to, time, nonce, answers: None, about, entry: 7, told }.sign(&from.own).unwrap()
}

#[test]
fn labels_are_heard_once_in_time_from_whom_they_are_and_about_this_call() {
    let dir = tempfile::tempdir().unwrap();
    let (east, west, other) = (peers(dir.path(), "e"), peers(dir.path(), "w"), peers(dir.path(), "o"));
    west.know(vec![peer("east", &east)]);
    let hear = |agent: &str, said: &str, text: &str| {
        let Received { bare, heard } = west.receive((agent, DOOR), request(Some(said)), &subject(text), now()).unwrap();
        assert!(!bare.raw().windows(MEMBER.len()).any(|part| part == MEMBER.as_bytes()), "it is sent on");
        heard.map(|carried| carried.unwrap())
    };
    let good = said(&east, &west, now());
    assert_eq!(hear("mallory", &good, "k").err(), Some(Distrust::Stranger));
    assert_eq!(hear("east", &good, "other").err(), Some(Distrust::OtherSubject));
    let carried = hear("east", &good, "k").unwrap();
    assert_eq!((carried.entry, carried.told.values.get("/text")), (7, Some(&secret())));
    assert_eq!(hear("east", &good, "k").err(), Some(Distrust::Repeated));
    assert_eq!(hear("east", &said(&other, &west, now()), "k").err(), Some(Distrust::OtherKey));
    assert_eq!(hear("east", &said(&east, &other, now()), "k").err(), Some(Distrust::OtherAudience));
    for seconds in [-61, 11] {
        let time = now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        assert_eq!(hear("east", &said(&east, &west, time), "k").err(), Some(Distrust::Stale), "{seconds}");
    }
    let received = west.receive(("east", DOOR), request(None), &subject("k"), now()).unwrap();
    assert!(received.heard.unwrap().is_none(), "nothing was said");
}

#[test]
fn labels_that_cannot_be_told_apart_or_taken_off_are_not_sent_on() {
    let dir = tempfile::tempdir().unwrap();
    let (east, west) = (peers(dir.path(), "e"), peers(dir.path(), "w"));
    west.know(vec![peer("east", &east)]);
    let good = said(&east, &west, now());
    let receive = |meta: &str| west.receive(("east", DOOR), request_with(meta), &subject("k"), now()).map(|_| ());
    let twice = format!(r#","_meta":{{}},"_meta":{{"{MEMBER}":{good}}}"#);
    assert_eq!(receive(&twice), Err(Malformed::DuplicateKey("_meta".to_owned())));
    let other_case = format!(r#","_Meta":{{"{MEMBER}":{good}}}"#);
    assert_eq!(receive(&other_case), Err(Malformed::AmbiguousKey("_Meta".to_owned())));
    assert_eq!(receive(r#","_meta":null"#), Ok(()), "there is nothing in it");
    assert!(
        west.receive(("east", DOOR), request(Some(&good)), &subject("k"), now()).unwrap().heard.is_ok(),
        "it was not heard"
    );
}

#[test]
fn no_byte_of_a_statement_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (east, west) = (peers(dir.path(), "e"), peers(dir.path(), "w"));
    west.know(vec![peer("east", &east)]);
    let hear = |said: &str| west.receive(("east", DOOR), request(Some(said)), &subject("k"), now()).unwrap().heard;
    let good = said(&east, &west, now());
    let changes = [
        ("\"anyone\"", "\"trusted\""),
        ("\"secret\"", "\"public\""),
        ("/text", "/texx"),
        ("\"version\":1", "\"version\":2"),
        ("\"entry\":7", "\"entry\":8"),
        ("\"kind\":\"call\"", "\"kind\":\"result\""),
        ("{\"statement\":{", "{\"statement\":{\"more\":1,"),
        ("\"signature\":\"", "\"signature\":\"AAAA"),
    ];
    for (from, to) in changes {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert_eq!(hear(&bad).err(), Some(Distrust::Unsigned), "{from}");
    }
    let twice = good.replacen("{\"statement\":", "{\"statement\":1,\"statement\":", 1);
    for bad in [twice.as_str(), "{}", "null", "[]", "\"x\"", "{\"statement\":{},\"signature\":\"\"}"] {
        assert_eq!(hear(bad).err(), Some(Distrust::Unsigned), "{bad}");
    }
    // Signed, and not as it should be: a signature for something else of the same key.
    let bytes = serde_json_canonicalizer::to_vec(&json!({"any": "text"})).unwrap();
    let signature = BASE64_STANDARD.encode(east.own.sign(&bytes));
    let odd = json!({"statement": {"any": "text"}, "signature": signature}).to_string();
    assert_eq!(hear(&odd).err(), Some(Distrust::Unsigned));
    assert!(hear(&good).is_ok(), "the good one still is");
}

#[test]
fn a_result_is_heard_for_the_call_that_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (east, west) = (peers(dir.path(), "e"), peers(dir.path(), "w"));
    let west_there = Arc::new(peer("west", &west));
    let awaited = |nonce: &str| Awaited { peer: west_there.clone(), nonce: nonce.to_owned() };
    let owed = Owed { to: east.own.public(), nonce: "n1".to_owned() };
    let mut result = json!({"content": [{"type": "text", "text": "k"}], "isError": false});
    let values = BTreeMap::from([("/a".to_owned(), secret())]);
    let answer = west.answer(&owed, (&result, DOOR), (values, 9), now()).unwrap();
    call::put(&mut result, "_meta", json!({ MEMBER: serde_json::from_str::<Value>(&answer).unwrap() }));
    let heard = east.hear_result(&awaited("n1"), (&result, DOOR), now()).unwrap();
    // All values had this label, so it was said once.
    assert_eq!((heard.values.len(), heard.rest.as_ref()), (0, Some(&secret())));
    assert_eq!(east.hear_result(&awaited("n2"), (&result, DOOR), now()).err(), Some(Distrust::OtherSubject));
    let mut other = result.clone();
    other["content"][0]["text"] = json!("other");
    assert_eq!(east.hear_result(&awaited("n1"), (&other, DOOR), now()).err(), Some(Distrust::OtherSubject));
    // A result is no call, and a call no result.
    let received = east.receive(("east", DOOR), request(Some(&answer)), &subject("k"), now()).unwrap();
    assert_eq!(received.heard.err(), Some(Distrust::Stranger));
    let mut call = result.clone();
    call["_meta"][MEMBER] = serde_json::from_str(&said(&west, &east, now())).unwrap();
    assert_eq!(east.hear_result(&awaited("n1"), (&call, DOOR), now()).err(), Some(Distrust::OtherSubject));
    assert_eq!(
        east.hear_result(&awaited("n1"), (&json!({"content": []}), DOOR), now()).err(),
        Some(Distrust::Unsigned)
    );
}

#[test]
fn a_statement_is_bounded_and_what_it_leaves_out_counts_as_the_worst_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (east, west) = (peers(dir.path(), "e"), peers(dir.path(), "w"));
    west.know(vec![peer("east", &east)]);
    let mild =
        Said { integrity: Integrity::FirstParty, confidentiality: Confidentiality::Public, choice: None, ..secret() };
    let mut values: BTreeMap<String, Said> = (0..3_000).map(|at| (format!("/{at:05}"), mild.clone())).collect();
    values.insert("/02999".to_owned(), secret());
    let about = statement::about_call("write", &json!({"text": "k"})).unwrap();
    let (nonce, to, told) = (statement::nonce().unwrap(), west.own.public(), Told { values, ..Told::default() });
    let draft = Draft { kind: Kind::Call, to, time: now(), nonce, answers: None, about, entry: 1, told };
    let text = draft.sign(&east.own).unwrap();
    let received = west.receive(("east", DOOR), request(Some(&text)), &subject("k"), now()).unwrap();
    let told = received.heard.unwrap().unwrap().told;
    assert_eq!(told.values.len(), 1_024);
    assert_eq!(
        told.rest.map(|rest| (rest.integrity, rest.confidentiality)),
        Some((Integrity::Anyone, Confidentiality::Secret))
    );
}

#[test]
fn a_key_is_its_text_and_the_private_half_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let peers = peers(dir.path(), "e");
    let text = peers.own.public().to_string();
    assert_eq!(text.parse(), Ok(peers.own.public()));
    assert_eq!(own_key(&dir.path().join("e")).unwrap(), peers.own.public());
    for bad in ["", "ed25519:", "ed25519:AAAA", &text.replace("ed25519:", "rsa:")] {
        assert_eq!(bad.parse::<PublicKey>(), Err(NoKey), "{bad}");
    }
    let private = std::fs::read_to_string(dir.path().join("e")).unwrap();
    let shown = format!("{peers:?}{:?}", peer("x", &peers));
    assert!(!shown.contains(private.trim()));
    let credential: Credential = "a key of the test".parse().unwrap();
    assert!(!format!("{credential:?}").contains("a key"));
}
