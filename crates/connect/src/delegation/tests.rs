//! Every kind of step on its own example, and silent on its counter-example.

use graph::aws::Truth;
use graph::delegation::kinds;
use graph::step::Step;
use graph::world::World;

use crate::aws::{Loaded, load};

/// A folder of a repository with one file of this text.
fn world(text: &str) -> World {
    world_with(text, &[])
}

/// The same with further files, which are read only where the first calls them.
fn world_with(text: &str, others: &[(&str, &str)]) -> World {
    let loaded = loaded_with(text, others);
    assert_eq!(loaded.unread, [], "{text}");
    loaded.world()
}

fn loaded_with(text: &str, others: &[(&str, &str)]) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    write("package.json", r#"{"name": "@acme/tools"}"#);
    write(".git/config", "[core]\n[remote \"origin\"]\n\turl = git@github.com:acme/shop.git\n\tfetch = x\n");
    let name = if text.trim_start().starts_with(['{', '[']) { "answers.json" } else { ".github/workflows/w.yml" };
    for (name, text) in others {
        write(name, text);
    }
    let mut paths = vec![write(name, text)];
    if name.ends_with(".yml") {
        paths.push(write("account.json", ACCOUNT));
    }
    load(&paths, 0)
}

const ACCOUNT: &str = r#"{"UserDetailList": [], "RoleDetailList": [
 {"Arn": "arn:aws:iam::111122223333:role/deploy", "RoleName": "deploy", "AssumeRolePolicyDocument": {"Statement": [
  {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
   "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
   "Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/shop:*"}}}]}},
 {"Arn": "arn:aws:iam::111122223333:role/main", "RoleName": "main", "AssumeRolePolicyDocument": {"Statement": [
  {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
   "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
   "Condition": {"StringEquals": {"token.actions.githubusercontent.com:sub": "repo:acme/shop:ref:refs/heads/main"}}}]}},
 {"Arn": "arn:aws:iam::111122223333:role/other", "RoleName": "other", "AssumeRolePolicyDocument": {"Statement": [
  {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
   "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
   "Condition": {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/other:*"}}}]}}]}"#;

fn of_kind<'w>(world: &'w World, id: &str) -> Vec<&'w Step> {
    world.steps.steps.iter().filter(|step| step.kind.id == id).collect()
}

#[test]
fn every_kind_fires_on_its_example_and_is_silent_on_its_counter_example() {
    for kind in kinds() {
        let id = kind.page.id;
        let found = world(kind.example);
        let steps = of_kind(&found, id);
        assert!(!steps.is_empty(), "{id} does not fire");
        let certain = steps.iter().any(|step| step.truth == Truth::Yes);
        assert!(kind.partial.is_none() || !certain, "{id} is certain, and its page says that it never is");
        assert!(of_kind(&world(kind.counter_example), id).is_empty(), "{id} fires on its counter-example");
        assert!(!kind.page.references.is_empty(), "{id}");
    }
}

fn job(role: &str) -> String {
    format!(
        "on: push\npermissions: {{id-token: write}}\njobs: {{t: {{steps: [{{uses: aws-actions/configure-aws-credentials@v4, \
         with: {{role-to-assume: 'arn:aws:iam::111122223333:role/{role}'}}}}]}}}}"
    )
}

#[test]
fn a_role_is_the_jobs_only_as_far_as_its_trust_policy_names_the_repository() {
    let truth = |role: &str| of_kind(&world(&job(role)), "workflow-role").first().map(|step| step.truth);
    assert_eq!(truth("deploy"), Some(Truth::Yes));
    assert_eq!(truth("main"), Some(Truth::Unknown), "which branch a run is of is not known");
    assert_eq!(truth("other"), None, "another repository's");
    assert_eq!(truth("elsewhere"), Some(Truth::Unknown), "no file has the role");
}

#[test]
fn what_may_keep_outsiders_out_makes_a_step_possible_and_is_named() {
    let entered = |extra: &str, step: &str| {
        let text = format!(
            "on: {{issue_comment: {{types: [created]}}}}\njobs: {{t: {{{extra}steps: [{{run: 'echo ${{{{ github.event.comment.body }}}}'{step}}}]}}}}"
        );
        let world = world(&text);
        let steps = of_kind(&world, "workflow-injection");
        steps.first().map(|step| (step.truth, step.assuming.join("; ")))
    };
    assert_eq!(entered("", "").unwrap().0, Truth::Yes);
    let (truth, assumed) = entered("", ", if: \"github.event.comment.author_association == 'MEMBER'\"").unwrap();
    assert_eq!(truth, Truth::Unknown);
    assert!(assumed.contains("author_association"), "{assumed}");
    assert_eq!(entered("environment: prod, ", "").unwrap(), (Truth::Unknown, "environment `prod` asks nobody".into()));
}

#[test]
fn an_action_that_refuses_those_without_rights_says_so_until_it_is_told_otherwise() {
    let assumed = |event: &str, step: &str| {
        let world = world(&format!("on: {event}\njobs: {{t: {{steps: [{step}]}}}}"));
        let steps = of_kind(&world, "workflow-agent");
        steps.first().map(|step| step.assuming.join("; ")).unwrap()
    };
    let claude = |with: &str| format!("{{uses: anthropics/claude-code-action@v1, with: {{prompt: x{with}}}}}");
    assert!(assumed("issue_comment", &claude("")).contains("refuses others"));
    assert!(assumed("issue_comment", &claude(", allowed_non_write_users: ''")).contains("refuses others"));
    assert!(!assumed("issue_comment", &claude(", allowed_non_write_users: '*'")).contains("refuses others"));
    assert!(assumed("issues", "{uses: openai/codex-action@v1}").contains("refuses others"));
    assert!(!assumed("issues", "{uses: openai/codex-action@v1, with: {allow-users: '*'}}").contains("refuses others"));
    assert!(!assumed("issues", "{uses: google-github-actions/run-gemini-cli@v1}").contains("refuses others"));
    // Of two the one that lets in more is the way in.
    let both = format!("{}, {{uses: google-github-actions/run-gemini-cli@v1}}", claude(""));
    assert!(!assumed("issues", &both).contains("refuses others"));
    assert!(
        assumed("{workflow_run: {workflows: [test]}}", &claude("")).contains("the run before was of a pull request")
    );
}

#[test]
fn a_condition_of_several_lines_is_said_in_one() {
    let text = "on: issues\njobs:\n  t:\n    if: |\n      contains(github.event.issue.body, 'x') ||\n      github.actor == 'y'\n    \
                steps: [{run: 'echo ${{ github.event.issue.title }}'}]\n";
    let found = world(text);
    let assumed = of_kind(&found, "workflow-injection")[0].assuming.join("; ");
    assert_eq!(assumed, "`if: contains(github.event.issue.body, 'x') || github.actor == 'y'` lets it through");
}

#[test]
fn what_a_called_workflow_holds_is_of_the_repository_that_calls_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(".github/workflows").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let caller = write(
        "a.yml",
        "on: issues\npermissions: {contents: write}\njobs:\n  u: {uses: ./.github/workflows/b.yml}\n  v: {steps: [{run: make}]}\n",
    );
    write("b.yml", "on: workflow_call\njobs: {w: {steps: [{run: make}]}}\n");
    // A clone that has no remote is known by its folder.
    let world = load(&[caller], 0).world();
    let into: std::collections::BTreeSet<&str> =
        of_kind(&world, "workflow-writes-code").iter().map(|step| world.steps.nodes[step.to].key.as_str()).collect();
    assert_eq!(into.len(), 1, "{into:?}");
}

#[test]
fn an_event_is_taken_away_whole() {
    let text = "on:\n  issues:\n    types: [opened]\n  push:\njobs:\n  t:\n    steps:\n      - run: echo ${{ github.event.issue.title }}\n";
    let found = world(text);
    let step = of_kind(&found, "workflow-injection")[0];
    let line = found.steps.grant(step.grounds[0].grants[0]).and_then(|grant| grant.line).unwrap();
    let hunk = crate::hunk::removal("w.yml", text, line).unwrap();
    assert!(hunk.contains("-  issues:\n-    types: [opened]\n"), "what narrows an event must not go alone: {hunk}");
}

#[test]
fn the_permission_that_is_taken_away_is_the_one_that_writes() {
    let text =
        "on: issues\npermissions:\n  id-token: write\n  contents: write\njobs:\n  t:\n    steps:\n      - run: x\n";
    let found = world(text);
    let step = of_kind(&found, "workflow-writes-code")[0];
    let lines: Vec<_> = step.grounds.iter().flat_map(|ground| &ground.grants).collect();
    let lines: Vec<_> = lines.into_iter().filter_map(|grant| found.steps.grant(*grant)?.line).collect();
    assert_eq!(lines, [4]);
    assert!(crate::hunk::removal("w.yml", text, 4).unwrap().contains("-  contents: write\n"));
}

const DIRECTORY: &str = r#"[
{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#servicePrincipals", "value": [
  {"appId": "a1", "id": "s1", "displayName": "Helper", "appOwnerOrganizationId": "t2"},
  {"appId": "a2", "id": "s2", "displayName": "Gone", "accountEnabled": false}]},
{"value": [{"id": "u1", "userPrincipalName": "ann@acme.example"}, {"id": "u2", "userPrincipalName": "bob@acme.example"}]},
{"value": [{"roleDefinitionId": "62e90394-69f5-4237-9190-012177145e10", "principalId": "u1", "directoryScopeId": "/"}]},
{"value": [
  {"clientId": "s1", "consentType": "Principal", "principalId": "u1", "resourceId": "g", "scope": "Mail.Read RoleManagement.ReadWrite.Directory"},
  {"clientId": "s1", "consentType": "Principal", "principalId": "u2", "resourceId": "g", "scope": "Files.Read RoleManagement.ReadWrite.Directory"},
  {"clientId": "s2", "consentType": "AllPrincipals", "principalId": null, "resourceId": "g", "scope": "Mail.Read"},
  {"clientId": "s9", "consentType": "AllPrincipals", "principalId": null, "resourceId": "g", "scope": "Mail.Read"}]},
{"value": [{"appRoleId": "r9", "principalId": "s1", "principalType": "ServicePrincipal", "resourceId": "g", "resourceDisplayName": "Some API"},
  {"appRoleId": "r9", "principalId": "u1", "principalType": "User", "resourceId": "g"}]}]"#;

#[test]
fn a_consent_reaches_what_it_opens_of_whom_it_concerns() {
    let world = world(DIRECTORY);
    let shown =
        |step: &&Step| format!("{} -> {} {:?}", world.steps.name(step.from), world.steps.name(step.to), step.truth);
    let mut found: Vec<String> = of_kind(&world, "oauth-consent").iter().map(shown).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "app Helper -> files of bob@acme.example Yes",
            "app Helper -> mail of ann@acme.example Yes",
            "app Helper -> what permission r9 of Some API (its service principal is not in the files) opens, of everyone Yes",
            "app with service principal s9 -> mail of everyone Unknown",
        ]
    );
    let made: Vec<String> = of_kind(&world, "oauth-consent-directory").iter().map(shown).collect();
    assert_eq!(made, ["app Helper -> administrator Yes", "app Helper -> administrator Unknown"]);
    let owner = of_kind(&world, "oauth-app-owner");
    assert_eq!(owner[0].truth, Truth::Unknown, "whose directory it is was not said");
}

#[test]
fn tokens_of_google_workspace_are_consents_of_their_users() {
    let world = world(
        r#"{"kind": "admin#directory#tokenList", "items": [{"kind": "admin#directory#token", "userKey": "ann@acme.example",
         "clientId": "1.apps.example", "displayText": "Notes", "scopes": ["openid", "https://www.googleapis.com/auth/drive"]}]}"#,
    );
    let steps = of_kind(&world, "oauth-consent");
    assert_eq!((steps.len(), world.steps.name(steps[0].to)), (1, "files of ann@acme.example"));
}

#[test]
fn whoever_publishes_meets_the_package_that_a_server_runs() {
    let found = world(
        r#"{"info": {"name": "Acme_Tools", "package_url": "x"}, "ownership": {"roles": [{"role": "Owner", "user": "ann"}]}}"#,
    );
    assert!(found.steps.index_of("pkg:pypi/acme-tools").is_some());
    let mut loaded = crate::aws::Loaded::default();
    crate::aws::add(
        &mut loaded,
        "p.json",
        r#"{"info": {"name": "x", "package_url": "x", "author": "ann"}, "ownership": null}"#,
    );
    assert!(loaded.unread[0].reason.contains("who may publish"), "{:?}", loaded.unread);
}

#[test]
fn what_decides_a_jobs_rights_and_its_guards_is_read() {
    let truths = |text: &str, id: &str| of_kind(&world(text), id).iter().map(|step| step.truth).collect::<Vec<_>>();
    let injected = "on: {issues: {types: [TYPE]}}\njobs: {t: {steps: [{run: 'echo ${{ github.event.issue.title }}'}]}}";
    let of_type = |kind: &str| truths(&injected.replace("TYPE", kind), "workflow-injection");
    assert_eq!((of_type("opened"), of_type("labeled")), (vec![Truth::Yes], vec![Truth::Unknown]));
    let guarded = injected.replace("TYPE", "opened").replace("{t: {", "{t: {if: \"github.actor == 'ann'\", ");
    assert_eq!(truths(&guarded, "workflow-injection"), [Truth::Unknown], "the job's own condition");
    let before = "on: pull_request_target\njobs: {t: {steps: [{run: npm ci}, {uses: actions/checkout@v4, with: {ref: '${{ github.event.pull_request.head.sha }}'}}]}}";
    assert!(truths(before, "workflow-runs-checkout").is_empty(), "what ran before was not of the pull request");
    let writes = "on: push\npermissions: TOP\njobs: {t: {permissions: OWN, steps: [{run: make}]}}";
    let may = |top: &str, own: &str| {
        !truths(&writes.replace("TOP", top).replace("OWN", own), "workflow-writes-code").is_empty()
    };
    assert!(may("{contents: read}", "{contents: write}") && !may("{contents: write}", "{contents: read}"));
    assert!(may("{contents: read}", "write-all"));
}

#[test]
fn what_a_workflow_of_the_same_checkout_does_is_its_callers() {
    let caller = |with: &str, rights: &str| {
        format!(
            "on: issues\njobs:\n  t:\n    permissions: {rights}\n    uses: ./.github/workflows/c.yml\n    with: {{title: '{with}'}}\n    secrets: {{KEY: '${{{{ secrets.DEPLOY }}}}'}}\n"
        )
    };
    let called = "on: {workflow_call: {inputs: {title: {type: string}}}}\njobs:\n  u:\n    steps:\n      - run: echo ${{ inputs.title }}\n        env: {KEY: '${{ secrets.KEY }}', OTHER: '${{ secrets.OTHER }}'}\n";
    let of = |with: &str, rights: &str, kind: &str| {
        let world = world_with(&caller(with, rights), &[(".github/workflows/c.yml", called)]);
        let names = |step: &Step| (world.steps.name(step.from).to_owned(), world.steps.name(step.to).to_owned());
        of_kind(&world, kind).iter().map(|step| names(step)).collect::<Vec<_>>()
    };
    let title = "${{ github.event.issue.title }}";
    assert_eq!(of(title, "{}", "workflow-injection").len(), 1);
    assert_eq!(of("fixed", "{}", "workflow-injection"), []);
    let secrets = of(title, "{}", "workflow-secret");
    let of_called: Vec<&str> =
        secrets.iter().filter(|(from, _)| from.contains("t / u")).map(|(_, to)| to.as_str()).collect();
    assert_eq!(of_called, ["secret DEPLOY of acme/shop"], "{secrets:?}");
    assert_eq!(of(title, "{}", "workflow-writes-code"), []);
    assert_eq!(of(title, "{contents: write}", "workflow-writes-code").len(), 2, "caller and called");
}

#[test]
fn a_composite_action_of_the_same_checkout_runs_where_it_is_called() {
    let caller = "on: issues\njobs: {t: {steps: [{uses: ./.github/actions/greet, with: {name: '${{ github.event.issue.title }}'}}]}}";
    let greet = |using: &str| {
        format!(
            "inputs: {{name: {{default: you}}}}\nruns:\n  using: {using}\n  steps:\n    - uses: ./.github/actions/greet\n    - run: echo ${{{{ inputs.name }}}}\n"
        )
    };
    let fires = |using: &str| {
        let world = world_with(caller, &[(".github/actions/greet/action.yml", &greet(using))]);
        !of_kind(&world, "workflow-injection").is_empty()
    };
    assert!(fires("composite"), "an action that calls itself ends");
    assert!(!fires("node20"));
}

#[test]
fn actions_that_call_themselves_over_and_over_are_read_up_to_a_bound_which_is_said() {
    let caller = "on: issues\njobs: {t: {steps: [{uses: ./a}]}}";
    let again = "runs: {using: composite, steps: [{uses: ./a}, {uses: ./a}, {uses: ./a}, {uses: ./a}]}";
    let loaded = loaded_with(caller, &[("a/action.yml", again)]);
    let reasons: Vec<&str> = loaded.unread.iter().map(|unread| unread.reason.as_str()).collect();
    assert!(matches!(reasons.as_slice(), [one] if one.contains("more than the 1000 steps")), "{reasons:?}");
}

#[test]
fn a_script_that_starts_an_agent_is_a_script_and_its_variables_are_texts_in_it() {
    let injected = |steps: &str| !of_kind(&world(&format!("on: issues\n{steps}")), "workflow-injection").is_empty();
    assert!(injected("jobs: {t: {steps: [{run: 'claude -p \"${{ github.event.issue.title }}\"'}]}}"));
    let agent = world("on: issues\njobs: {t: {steps: [{run: 'claude -p \"${{ github.event.issue.title }}\"'}]}}");
    assert_eq!(of_kind(&agent, "workflow-agent").len(), 1);
    let titled = "env: {TITLE: '${{ github.event.issue.title }}'}";
    assert!(injected(&format!("{titled}\njobs: {{t: {{steps: [{{run: 'echo ${{{{ env.TITLE }}}}'}}]}}}}")));
    assert!(injected(&format!("jobs: {{t: {{steps: [{{{titled}, run: 'echo ${{{{ env.TITLE }}}}'}}]}}}}")));
    assert!(!injected(&format!("{titled}\njobs: {{t: {{steps: [{{run: 'echo $TITLE'}}]}}}}")), "the shell's own");
    assert!(!injected(&format!(
        "{titled}\njobs: {{t: {{steps: [{{env: {{TITLE: fixed}}, run: 'echo ${{{{ env.TITLE }}}}'}}]}}}}"
    )));
}
