//! Whole stories by seed.

use std::time::Duration;

use serde_json::json;

use crate::chance::Chance;
use crate::play::{Operator, in_paused_time};
use crate::server::Server;

#[test]
fn a_database_is_created_and_goes_when_it_is_deleted() {
    in_paused_time(async {
        let server = Server::new(Chance::of(1), 0);
        server.namespace("shop");
        server.driver("engine", "img:1");
        let operator = Operator::start(&server, "op-1", &[]);
        let key = server.database("shop", "orders", &json!({}));
        server.all_created("shop", Duration::from_secs(20)).await;
        server.delete(&key);
        let gone = server.until(Duration::from_secs(20), |state| state.store.get(&key).is_none()).await;
        assert!(gone, "{:?}", server.state().store.get(&key));
        assert!(server.state().cluster.on_the_server.is_empty());
        assert_eq!(server.state().posts.len(), 2, "one creates it and one deletes it");
        operator.end().await;
    });
}
