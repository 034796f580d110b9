//! The Lease: of several replicas one acts. It saves needless Jobs and Events; nothing rests on it.

use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::pin;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// Name of the Lease.
pub const LEASE: &str = "db-operator";

/// For how long it is held without renewal, in seconds: the time for which nothing is launched after a crash.
const DURATION: u64 = 15;

/// How long before that it is renewed, in seconds.
const GRACE: u64 = 5;

/// How long the release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Says by `leading` whether this process holds the Lease, until `stop`. Then it gives the Lease back.
pub async fn hold(
    client: Client,
    namespace: &str,
    identity: &str,
    leading: watch::Sender<bool>,
    stop: impl Future<Output = ()>,
) {
    pin!(stop);
    let manager = tokio::select! {
        manager = manager(client, namespace, identity) => manager,
        () = &mut stop => return,
    };
    let (mut held, task) = manager.watch().await;
    loop {
        let now = *held.borrow_and_update();
        let changed = leading.send_if_modified(|before| std::mem::replace(before, now) != now);
        if changed && now {
            info!(identity, "holds the Lease: launching Jobs");
        } else if changed {
            warn!(identity, "lost the Lease: launching no more Jobs");
        }
        tokio::select! {
            result = held.changed() => if result.is_err() { break },
            () = &mut stop => break,
        }
    }
    let held_it = leading.send_replace(false);
    // The manager gives the Lease back when nobody listens any more.
    drop(held);
    match timeout(RELEASE_TIMEOUT, task).await {
        Ok(Ok(Ok(_))) if held_it => info!(identity, "gave the Lease back"),
        Ok(Ok(Ok(_))) => {}
        Ok(Ok(Err(error))) => warn!(%error, "cannot give the Lease back: it expires"),
        Ok(Err(_)) | Err(_) => warn!("cannot give the Lease back in time: it expires"),
    }
}

async fn manager(client: Client, namespace: &str, identity: &str) -> LeaseManager {
    loop {
        let built = LeaseManagerBuilder::new(client.clone(), LEASE)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .build()
            .await;
        match built {
            Ok(manager) => return manager,
            Err(error) => {
                warn!(
                    error = crate::seen::watch::chain(&error),
                    "cannot read or create Lease {LEASE}; trying again"
                );
                sleep(Duration::from_secs(GRACE)).await;
            }
        }
    }
}
