//! Stories with a name: one thing goes wrong, everybody else's Databases go on, and its owner is told.

mod floods;
mod nonsense;
mod outages;
mod replicas;
mod stuck;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::chance::Chance;
use crate::play::Operator;
use crate::server::Server;

/// Long enough for a Database that nothing holds up.
const SOON: Duration = Duration::from_secs(20);

/// A server with namespaces `shop` and `other`, and a Driver.
fn served() -> Arc<Server> {
    let server = Server::new(Chance::of(7), 0);
    for namespace in ["system", "shop", "other"] {
        server.namespace(namespace);
    }
    server.driver("engine", "img:1");
    server
}

fn start(server: &Arc<Server>) -> Operator {
    Operator::start(server, "op-1", &[])
}

/// Makes so many Databases in a namespace.
fn databases(server: &Arc<Server>, namespace: &str, count: usize) {
    for index in 0..count {
        server.database(namespace, &format!("db-{index}"), &json!({}));
    }
}

/// Whether that is told about an object of that name within a minute or two.
async fn is_told(server: &Arc<Server>, reason: &str, name: &str) -> bool {
    server.until(Duration::from_mins(3), |state| state.was_told(reason, name)).await
}
