//! How a thief is put out.

use std::time::Duration;

use anyhow::{Context as _, Result};
use api::Database;
use e2e::{OPERATOR_NAMESPACE, SOON, client_with_token, database, with_namespace};
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::{interval, timeout};

use super::token::OPERATORS_TOKEN;
use crate::docs::pages::{commands, run};
use crate::operator::DEPLOYMENT;

/// Uses the token.
async fn list_databases(thief: &Client) -> kube::Result<()> {
    Api::<Database>::all(thief.clone()).list(&ListParams::default()).await.map(drop)
}

/// Waits until the API server does not know whose token that is: it remembers for some seconds. It has no watch.
async fn is_put_out(thief: &Client) -> Result<()> {
    let mut look = interval(Duration::from_millis(200));
    let asked = async {
        loop {
            look.tick().await;
            match list_databases(thief).await {
                Ok(()) => {}
                Err(kube::Error::Api(status)) if status.code == 401 => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    };
    timeout(SOON, asked).await.context("the token is good for longer than half a minute")?
}

#[tokio::test]
async fn a_thief_of_the_operators_token_is_put_out_by_the_documented_commands_and_the_operator_goes_on() {
    let _alone = DEPLOYMENT.lock().await;
    let _ended = OPERATORS_TOKEN.write().await;
    with_namespace("put_out", async |test| {
        let thief = client_with_token(OPERATOR_NAMESPACE, "db-operator").await?;
        list_databases(&thief).await.context("the token was never good")?;
        for command in commands("docs/security.md", "kubectl --namespace db-operator delete serviceaccount")?
        {
            run(&command, &[]).await?;
        }
        is_put_out(&thief).await?;
        test.create_ready(&database("orders")).await?;
        Ok(())
    })
    .await;
}
