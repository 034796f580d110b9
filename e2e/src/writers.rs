//! Applications that write until the server ends their sessions, and remember every commit that it acknowledged.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::server::login;

/// Writers with the login of one Database.
#[derive(Debug)]
pub struct Writers {
    tasks: Vec<JoinHandle<Result<i32>>>,
    begun: watch::Receiver<bool>,
}

impl Writers {
    /// Begins `count` of them in the Database of that name, and waits for their first commit.
    pub async fn start(test: &Context, database: &str, count: i32) -> Result<Self> {
        let secret = Arc::new(test.secret(database).await?);
        let table = "CREATE TABLE ledger (writer int, sequence int, PRIMARY KEY (writer, sequence))";
        login(&test.client, &secret).await?.batch_execute(table).await?;
        let (tell, mut begun) = watch::channel(false);
        let tell = Arc::new(tell);
        let tasks = (0..count).map(|writer| {
            let (client, secret, tell) = (test.client.clone(), Arc::clone(&secret), Arc::clone(&tell));
            tokio::spawn(async move {
                let application = login(&client, &secret).await?;
                let mut acknowledged = 0;
                let insert = "INSERT INTO ledger VALUES ($1, $2)";
                while application.execute(insert, &[&writer, &(acknowledged + 1)]).await.is_ok() {
                    acknowledged += 1;
                    tell.send_replace(true);
                }
                Ok(acknowledged)
            })
        });
        let tasks = tasks.collect();
        begun.wait_for(|begun| *begun).await.context("no writer has written")?;
        Ok(Self { tasks, begun })
    }

    /// Waits until the server has ended all sessions. Answers what each writer was told to be committed.
    pub async fn ended(self) -> Result<Vec<i32>> {
        drop(self.begun);
        let mut acknowledged = Vec::new();
        for task in self.tasks {
            acknowledged.push(task.await??);
        }
        Ok(acknowledged)
    }

    /// Fails where one of these commits is missing in the Database of that name.
    pub async fn check(test: &Context, database: &str, acknowledged: &[i32]) -> Result<()> {
        let copy = login(&test.client, &test.secret(database).await?).await?;
        let sql = "SELECT count(*)::int FROM ledger WHERE writer = $1 AND sequence <= $2";
        for (writer, acknowledged) in (0_i32..).zip(acknowledged) {
            let kept: i32 = copy.query_one(sql, &[&writer, acknowledged]).await?.get(0);
            ensure!(kept == *acknowledged, "of {acknowledged} commits of writer {writer}, {kept} are kept");
        }
        Ok(())
    }
}
