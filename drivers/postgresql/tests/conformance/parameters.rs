//! Each parameter does what it says.

use driver_api::ErrorKind;
use serde_json::json;

use crate::harness::{Case, Context, assert_error};

async fn created(context: &Context, label: &str, parameters: serde_json::Value) -> Case {
    let case = context.case(label).with_parameters(parameters);
    case.ensure_present().await;
    case.assert_complete().await;
    case
}

rules! {
    async fn extensions_are_created_and_belong_to_the_tenant(context) {
        let case = created(&context, "orders", json!({"schemas": ["ext"], "extensions": [
            "pgcrypto", {"name": "hstore", "schema": "ext"}, "plpgsql", "pg_buffercache", "earthdistance"]})).await;
        let tenant = case.tenant().await;
        tenant.batch_execute("SELECT digest('x', 'sha256'), ext.hstore('a', 'b'); \
            COMMENT ON EXTENSION pgcrypto IS 'ours'").await.unwrap();
        // What is taken from the list stays.
        let fewer = case.clone().with_parameters(json!({}));
        fewer.ensure_present().await;
        fewer.assert_complete().await;
        case.assert_complete().await;
    }

    async fn an_extension_s_version_is_kept(context) {
        let case = created(&context, "orders", json!({"extensions": [{"name": "hstore", "version": "1.4"}]})).await;
        case.clone().with_parameters(json!({"extensions": ["hstore"]})).assert_complete().await;
        let newer = case.clone().with_parameters(json!({"extensions": [{"name": "hstore", "version": "1.6"}]}));
        assert_eq!(newer.differences().await, ["extension hstore has version 1.4, not 1.6"]);
        newer.ensure_present().await;
        newer.assert_complete().await;
    }

    async fn an_extension_that_is_not_installed_is_named(context) {
        let case = context.case("orders").with_parameters(json!({"extensions": ["no \"such'"]}));
        case.assert_refused(ErrorKind::Unsupported, &["no \"such'", "spec.parameters.extensions"]).await;
    }

    async fn schemas_are_the_tenant_s(context) {
        let case = created(&context, "orders", json!({"schemas": ["app", "we\"ird'", "public"]})).await;
        case.tenant().await.batch_execute(
            "CREATE TABLE app.t (i int); CREATE TABLE \"we\"\"ird'\".t (i int); DROP SCHEMA app CASCADE").await.unwrap();
        assert_eq!(case.differences().await, ["schema app is missing"]);
        case.ensure_present().await;
        case.assert_complete().await;
    }

    async fn encoding_and_locale_are_set_at_creation_and_kept(context) {
        let case = created(&context, "orders", json!({"encoding": "LATIN1", "locale": "C"})).await;
        let encoding: String = case.tenant().await.query_one("SHOW server_encoding", &[]).await.unwrap().get(0);
        assert_eq!(encoding, "LATIN1");
        for (parameters, named) in [
            (json!({"encoding": "UTF8"}), "encoding is \"LATIN1\", not \"UTF8\""),
            (json!({"collate": "POSIX"}), "collate is \"C\""),
            (json!({"locale": "de_DE.UTF-8"}), "locale is \"C\""),
        ] {
            let other = case.clone().with_parameters(parameters);
            assert!(other.differences().await.iter().any(|text| text.contains(named)));
            let before = case.snapshot().await;
            other.assert_refused(ErrorKind::Invalid, &[named, "chosen at creation"]).await;
            assert_eq!(case.snapshot().await, before);
        }
        created(&context, "apart", json!({"collate": "C", "ctype": "C", "encoding": "utf-8"})).await;
    }

    async fn locale_providers_are_those_of_the_version(context) {
        let version = context.server.version;
        let providers = [("libc", 13, "C"), ("icu", 15, "de-AT"), ("builtin", 17, "C")];
        for (provider, since, locale) in providers {
            let case = context.case(provider).with_parameters(json!({"localeProvider": provider, "locale": locale}));
            if version >= since {
                case.ensure_present().await;
                case.assert_complete().await;
                let other = case.clone().with_parameters(json!({"localeProvider": provider, "locale": "en"}));
                other.assert_refused(ErrorKind::Invalid, &["locale"]).await;
            } else {
                case.assert_refused(ErrorKind::Unsupported, &[provider, &since.to_string()]).await;
                case.assert_absent().await;
            }
        }
    }

    async fn what_the_server_does_not_know_is_invalid(context) {
        for (label, parameters) in [
            ("encoding", json!({"encoding": "KLINGON"})),
            ("locale", json!({"locale": "tlh_QO.UTF-8"})),
        ] {
            let case = context.case(label).with_parameters(parameters);
            let error = case.try_ensure_present().await.unwrap_err();
            assert_error(&error, ErrorKind::Invalid, &[case.name(), "spec.parameters"]);
            case.ensure_absent().await;
            case.assert_absent().await;
        }
    }

    async fn the_connection_limit_holds_and_may_be_reached(context) {
        let case = created(&context, "orders", json!({"connectionLimit": 1})).await;
        // The session by which the driver has proved the login ends a moment later, and counts until then.
        case.assert_no_session().await;
        let only = case.tenant().await;
        let second = case.server().log_in(&case.target.active_login, crate::harness::PASSWORD, case.name()).await;
        assert_eq!(second.unwrap_err().code().unwrap().code(), "53300");
        // The application has taken every session that it may; that is no difference.
        case.assert_complete().await;
        case.ensure_present().await;
        let more = case.clone().with_parameters(json!({}));
        assert_eq!(more.differences().await, ["connectionLimit is 1, not -1"]);
        more.ensure_present().await;
        more.assert_complete().await;
        drop(only);
    }
}
