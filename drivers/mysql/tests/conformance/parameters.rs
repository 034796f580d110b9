//! What `spec.parameters` asks for.

use driver_api::ErrorKind;
use serde_json::json;

use crate::harness::{PASSWORD, code};

rules! {
    async fn the_character_set_is_chosen_at_creation_and_stays(context) {
        let case = context.case("orders").with_parameters(json!({"characterSet": "latin1", "collation": "latin1_german2_ci"}));
        case.ensure_present().await;
        case.assert_complete().await;
        let kept = case.clone().with_parameters(json!({"characterSet": "LATIN1"}));
        kept.assert_complete().await;
        for (parameters, named) in [
            (json!({"characterSet": "utf8mb4"}), "characterSet is \"latin1\", not \"utf8mb4\""),
            (json!({"collation": "latin1_bin"}), "collation is \"latin1_german2_ci\", not \"latin1_bin\""),
        ] {
            let changed = case.clone().with_parameters(parameters);
            assert_eq!(changed.differences().await, [named]);
            changed.assert_refused(ErrorKind::Invalid, &[named, "chosen at creation"]).await;
        }
        case.assert_complete().await;
    }

    async fn what_the_server_does_not_have_is_invalid(context) {
        for parameters in [json!({"characterSet": "klingon"}), json!({"collation": "utf8mb4_klingon_ci"}),
                           json!({"characterSet": "latin1", "collation": "utf8mb4_bin"})] {
            let case = context.case("orders").with_parameters(parameters);
            case.assert_refused(ErrorKind::Invalid, &["cannot create database", "spec.parameters"]).await;
            case.ensure_absent().await;
            case.assert_absent().await;
        }
    }

    async fn the_connection_limit_holds_and_can_change(context) {
        let case = context.case("orders").with_parameters(json!({"connectionLimit": 2}));
        case.ensure_present().await;
        let _open = (case.tenant().await, case.tenant().await);
        let login = &case.desired.login;
        let refused = case.server().log_in(&login.username, login.password.expose(), None).await.unwrap_err();
        assert!(matches!(code(&refused), 1203 | 1226), "{refused}");
        // The login is right, though there is no room to prove it.
        case.assert_complete().await;
        case.ensure_present().await;
        let more = case.clone().with_parameters(json!({"connectionLimit": 3}));
        assert_eq!(more.differences().await.len(), 2);
        more.ensure_present().await;
        more.assert_complete().await;
        // The session that proved the login may not have ended yet.
        until!("there is room for a third", more.server().log_in(&login.username, PASSWORD, None).await.is_ok());
        let none = case.clone().with_parameters(json!({}));
        none.ensure_present().await;
        none.assert_complete().await;
    }
}
