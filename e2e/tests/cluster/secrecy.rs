//! Passwords stay where they belong.

use anyhow::{Result, ensure};
use api::RECONCILE_ANNOTATION;
use e2e::{
    Context, DatabaseFixture, OPERATOR_NAMESPACE, PATIENCE, POSTGRESQL_15, database, kubectl, login, ready,
    with_namespace,
};
use serde_json::json;

use crate::operator::DEPLOYMENT;

/// Everything that people and machines read, except Secrets.
async fn everything_readable(test: &Context) -> Result<Vec<(&'static str, String)>> {
    let own = test.namespace.as_str();
    let looks: [(&str, &[&str]); 6] = [
        ("Databases", &["get", "databases.db.isotoma.com", "-n", own, "-o", "yaml"]),
        ("Jobs and pods", &["get", "jobs,pods", "-n", own, "-o", "yaml"]),
        ("Events", &["get", "events", "-n", own, "-o", "yaml"]),
        (
            "the drivers' logs",
            &[
                "logs",
                "-n",
                own,
                "-l",
                "app.kubernetes.io/managed-by=db-operator",
                "--tail=-1",
                "--prefix",
                "--ignore-errors",
            ],
        ),
        (
            "the operator's log",
            &["logs", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=db-operator", "--tail=-1"],
        ),
        ("PostgreSQL's log", &["logs", "-n", "servers", "-l", "server=postgresql-15", "--tail=-1"]),
    ];
    let mut all = Vec::new();
    for (what, arguments) in looks {
        let said = kubectl(arguments).await?;
        ensure!(!said.trim().is_empty(), "{what}: there is nothing to look at");
        all.push((what, said));
    }
    Ok(all)
}

#[tokio::test]
async fn no_password_is_readable_anywhere_but_in_its_secret() {
    // Another test replaces the operator's pod, whose log is read here.
    let _alone = DEPLOYMENT.lock().await;
    with_namespace("secrecy", async |test| {
        let mut passwords =
            vec![("the administrator's", POSTGRESQL_15.admin_login(&test.client).await?["password"].clone())];
        test.put_secret("wrong", json!({"username": "postgres", "password": "wr0ng-but-s3cret"})).await?;
        passwords.push(("the wrong", "wr0ng-but-s3cret".to_owned()));
        // A whole life, with a failure at the begin, a repair and a look at everything before its end.
        test.create(&database("failing").on(POSTGRESQL_15).admin_secret("wrong")).await?;
        test.create_ready(&database("orders").on(POSTGRESQL_15)).await?;
        test.refused("failing", "AuthenticationFailed").await?;
        let secret = test.secret("orders").await?;
        passwords.push(("the login's", secret["password"].clone()));
        login(&test.client, &secret).await?.batch_execute("CREATE TABLE t (x int)").await?;
        test.put_secret("orders", json!({"password": "3dited-by-hand"})).await?;
        passwords.push(("the edited", "3dited-by-hand".to_owned()));
        test.annotate("orders", RECONCILE_ANNOTATION, "now").await?;
        test.until("orders", PATIENCE, "the repair", |live| {
            let status = live.status.clone().unwrap_or_default();
            ready(live) && status.last_handled_reconcile.as_deref() == Some("now")
        })
        .await?;
        let before = everything_readable(&test).await?;
        test.delete("orders").await?;
        let after = everything_readable(&test).await?;
        let log = after.iter().find(|(what, _)| *what == "PostgreSQL's log");
        ensure!(log.is_some_and(|(_, text)| text.contains("SCRAM-SHA-256$")), "statements are not logged");
        for (what, text) in before.iter().chain(&after) {
            for (whose, password) in &passwords {
                ensure!(!text.contains(password.as_str()), "{whose} password is readable in {what}");
            }
        }
        Ok(())
    })
    .await;
}
