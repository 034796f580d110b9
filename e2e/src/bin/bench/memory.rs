//! What the driver's pod takes for ten gigabytes.

use anyhow::Result;
use api::DeletionPolicy;
use e2e::{Bucket, Context, DatabaseFixture, database};

use crate::backups::{mebibytes, ours};
use crate::pod::ServerPod;
use crate::rows;
use crate::table::Table;

/// Measures it.
pub(crate) async fn measure(context: &Context) -> Result<Table> {
    let mut table = Table::default();
    let bucket = Bucket::make(context).await?;
    let pod = ServerPod::prepare(context, &bucket.endpoint()).await?;
    println!("==> filling a database with ten gigabytes, and a Backup of it");
    context
        .create_ready(&database("bulk").backup_to(&bucket).deletion_policy(DeletionPolicy::Delete))
        .await?;
    rows::bulk(context, "bulk").await?;
    let (took, cost) = ours(context, &pod, "bulk", "bulk").await?;
    table.figure("Backup of 10 GB", &format!("{:.1} s", took.wall), "");
    table.figure("Backup of 10 GB: peak memory of the pod", &mebibytes(cost.memory), "goal 96 MiB or less");
    table.figure("Backup of 10 GB: written to disk by the pod", &format!("{} bytes", cost.written), "goal 0");
    context.delete("bulk").await?;
    Ok(table)
}
