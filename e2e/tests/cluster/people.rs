//! What people see of the objects with kubectl.

use anyhow::{Context as _, ensure};
use e2e::{POSTGRESQL_17, database, kubectl, with_namespace};

#[tokio::test]
async fn people_see_where_a_database_stands() {
    with_namespace("people_see", async |test| {
        test.create_ready(&database("orders")).await?;
        let get = async |what: &[&str]| {
            let arguments = [&["get", "--namespace", &test.namespace], what].concat();
            kubectl(&arguments).await
        };
        let table = get(&["dbo"]).await?;
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let header = lines.next().context("no table")?;
        ensure!(
            header == ["NAME", "PHASE", "READY", "REASON", "SINCE", "DRIVER", "SERVER", "AGE"],
            "{header:?}"
        );
        let row = lines.next().context("no row")?;
        let server = format!("{}:5432", POSTGRESQL_17.host());
        ensure!(row.get(..4) == Some(&["orders", "Created", "True", "Created"][..]), "{row:?}");
        ensure!(row.get(5..7) == Some(&["postgresql", server.as_str()][..]), "{row:?}");
        ensure!(get(&["db-operator"]).await?.contains("orders"), "the category does not list it");
        let wide = get(&["databases.db.isotoma.com", "--output", "wide"]).await?;
        ensure!(wide.contains(&test.prefix()) && wide.contains("the login is in Secret orders"), "{wide}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn explain_reads_like_documentation() {
    for (field, says) in [
        ("database", "a database and its login"),
        ("database.spec.connect", "How to reach the"),
        ("database.spec.connect.port", "TCP port"),
        ("database.spec.credentials.password.valueFrom.secretKeyRef", "A key of a Secret"),
        ("database.spec.deletionPolicy", "What becomes of the database"),
        ("database.status.phase", "How far the work"),
        ("backup.spec.database", "Name of the Database"),
        ("driver.spec.podTemplate", "The pod that the driver runs in"),
    ] {
        let text = kubectl(&["explain", field, "--api-version=db.isotoma.com/v1alpha1"]).await.unwrap();
        assert!(text.to_lowercase().contains(&says.to_lowercase()), "kubectl explain {field}:\n{text}");
    }
    // Every field is explained: kubectl prints this where a description is missing.
    for kind in ["database", "backup", "driver"] {
        let text = kubectl(&["explain", kind, "--recursive", "--api-version=db.isotoma.com/v1alpha1"])
            .await
            .unwrap();
        assert!(!text.contains("<no description>"), "{text}");
    }
}
