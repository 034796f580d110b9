//! What the value `allowedDrivers` allows, and what it does not by that.

use e2e::{OPERATOR_NAMESPACE, client_with_token, database, with_namespace};
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::jobs::{Change, admissible, jobs_of, set_variable};
use super::token::OPERATORS_TOKEN;

/// An image that the release of the tests allows with all that an entry can have (`e2e/cluster/release.sh`).
const ALLOWED: &str = "localhost/allowed:1";

fn image(job: &mut Value, image: &str) {
    job["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
}

/// With a variable.
fn env(job: &mut Value, name: &str, value: &str) {
    image(job, ALLOWED);
    set_variable(job, name, json!({"value": value}));
}

/// With a label, on the Job and on its pod.
fn label(job: &mut Value, name: &str) {
    image(job, ALLOWED);
    job["metadata"]["labels"][name] = json!("x");
    job["spec"]["template"]["metadata"]["labels"][name] = json!("x");
}

/// With an annotation on its pod.
fn annotation(job: &mut Value, name: &str) {
    image(job, ALLOWED);
    job["spec"]["template"]["metadata"]["annotations"][name] = json!("x");
}

/// With a priority.
fn priority(job: &mut Value, name: &str) {
    image(job, ALLOWED);
    job["spec"]["template"]["spec"]["priorityClassName"] = json!(name);
}

/// What an entry allows, and its neighbour, which it does not.
const PAIRS: [(&str, [Change; 2]); 9] = [
    (
        "an image by its tag",
        [("itself", |job| image(job, ALLOWED)), ("another tag", |job| image(job, "localhost/allowed:2"))],
    ),
    (
        "the images of a folder",
        [
            ("one below", |job| image(job, "localhost/allowed-folder/team/driver:3")),
            ("one beside", |job| image(job, "localhost/allowed-folders/driver:3")),
        ],
    ),
    (
        "what `load.sh` has loaded, as in docs/drivers.md",
        [
            ("any name", |job| image(job, "localhost/drivers/my-engine:dev-0")),
            ("outside its folder", |job| image(job, "localhost/my-engine:dev-0")),
        ],
    ),
    (
        "the images of a repository",
        [
            ("any tag", |job| image(job, "localhost/no-such-image:7")),
            ("one below", |job| image(job, "localhost/no-such-image/driver:7")),
        ],
    ),
    (
        "a variable with its value",
        [
            ("that value", |job| env(job, "RUST_LOG", "debug")),
            ("another value", |job| env(job, "RUST_LOG", "trace")),
        ],
    ),
    (
        "a variable with any value",
        [("any", |job| env(job, "TZ", "Europe/London")), ("another", |job| env(job, "LANG", "C"))],
    ),
    ("a label", [("it", |job| label(job, "team")), ("another", |job| label(job, "teams"))]),
    (
        "an annotation",
        [
            ("it", |job| annotation(job, "example.com/team")),
            ("another", |job| annotation(job, "example.com/teams")),
        ],
    ),
    ("a priority", [("it", |job| priority(job, "drivers")), ("another", |job| priority(job, "driver"))]),
];

#[tokio::test]
async fn what_a_platform_team_allows_a_driver_is_admitted_and_no_more() {
    let _valid = OPERATORS_TOKEN.read().await;
    with_namespace("allowed", async |test| {
        test.create_ready(&database("orders")).await?;
        let operator = client_with_token(OPERATOR_NAMESPACE, "db-operator").await?;
        let (good, jobs) = (admissible(&test).await?, jobs_of(&test.namespace));
        for (what, [(allowed, change), (neighbour, wrong)]) in PAIRS {
            let tried = |name: &str, change: fn(&mut Value)| {
                let mut job = good.clone();
                change(&mut job);
                Attempt::post(&format!("{what}: {name}"), &jobs, job)
            };
            tried(allowed, change).admitted(&operator).await?;
            let row = tried(neighbour, wrong).refused(&operator).await?;
            anyhow::ensure!(row.contains("admission policy"), "{row}");
        }
        Ok(())
    })
    .await;
}
