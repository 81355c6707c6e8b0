//! Random schedules of calls, answers and faults against the invariants.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Call(usize),
    List,
    Ping,
    Cancel(u64),
    Answer(bool),
    Junk,
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..4).prop_map(Step::Call),
        1 => Just(Step::List),
        1 => Just(Step::Ping),
        2 => (1_u64..12).prop_map(Step::Cancel),
        2 => any::<bool>().prop_map(Step::Answer),
        1 => Just(Step::Junk),
        1 => Just(Step::Reconnect),
    ]
}

fn how() -> impl Strategy<Value = How> {
    proptest::sample::select(vec![How::Echo, How::Error, How::Never, How::Die, How::WrongId, How::Garbage, How::Twice])
}

async fn run(steps: Vec<Step>, ways: Vec<How>) {
    let world = World::with(
        POLICY,
        Limits { call_wait: Duration::from_millis(30), ask_wait: Duration::from_millis(30), ..limits() },
    )
    .await
    .unwrap();
    for (tool, how) in ["read", "write", "delete"].into_iter().zip(ways) {
        world.answers(tool, how);
    }
    let mut client = world.connect();
    for step in steps {
        if client.relay.is_finished() {
            client = world.connect();
        }
        let write = client.write.as_mut().unwrap();
        let line = match step {
            Step::Call(tool) => {
                client.next += 1;
                let name = ["read", "write", "delete", "none"][tool];
                json!({ "jsonrpc": "2.0", "id": client.next, "method": "tools/call", "params": { "name": name, "arguments": { "n": client.next } } }).to_string()
            }
            Step::List => r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#.to_owned(),
            Step::Ping => r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#.to_owned(),
            Step::Cancel(id) => {
                json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } })
                    .to_string()
            }
            Step::Junk => r#"{"jsonrpc":"2.0","id":1,"result":{}"#.to_owned(),
            Step::Answer(approved) => {
                let open = world.records().into_iter().rev().find_map(|(index, record)| match record {
                    Record::Asked(asked) => Some((index, asked.binding)),
                    _ => None,
                });
                if let Some((ask, binding)) = open {
                    world.answer(ask, &binding, approved, Scope::Once);
                }
                continue;
            }
            Step::Reconnect => {
                drop(client);
                client = world.connect();
                continue;
            }
        };
        // The server may have died, and the conversation with it.
        let _ = write.write_all(format!("{line}\n").as_bytes()).await;
    }
    client.close().await;
    world.check().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn no_schedule_of_faults_breaks_an_invariant(steps in proptest::collection::vec(step(), 1..20), ways in proptest::collection::vec(how(), 3)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, ways));
    }
}
