//! Who may do what: the API server's own answer, compared with the whole list.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use api::Database;
use e2e::{OPERATOR_NAMESPACE, client, client_as, database, with_namespace};
use k8s_openapi::api::authorization::v1::{ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

/// Every single right of an account in a namespace, as `verb group/resource[:name]`, beyond those that any
/// account has.
async fn rights(account: &str, namespace: &str) -> Result<BTreeSet<String>> {
    let nobody = all_rights("nobody-in-particular", OPERATOR_NAMESPACE, namespace).await?;
    let (home, name) = account.split_once('/').context("an account is namespace/name")?;
    Ok(all_rights(name, home, namespace).await?.difference(&nobody).cloned().collect())
}

async fn all_rights(name: &str, home: &str, namespace: &str) -> Result<BTreeSet<String>> {
    let client = client_as(&format!("system:serviceaccount:{home}:{name}")).await?;
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let answer = Api::<SelfSubjectRulesReview>::all(client).create(&PostParams::default(), &review).await?;
    let status = answer.status.context("no answer")?;
    anyhow::ensure!(!status.incomplete, "the list is incomplete: {:?}", status.evaluation_error);
    let mut rights: BTreeSet<String> = status.resource_rules.iter().flat_map(spelled_out).collect();
    for rule in status.non_resource_rules {
        let urls = rule.non_resource_urls.unwrap_or_default();
        rights.extend(rule.verbs.iter().map(|verb| format!("{verb} {}", urls.join(","))));
    }
    Ok(rights)
}

fn spelled_out(rule: &ResourceRule) -> Vec<String> {
    let none = [String::new()];
    let or_none = |list: &Option<Vec<String>>| match list {
        Some(list) if !list.is_empty() => list.clone(),
        _ => none.to_vec(),
    };
    let mut all = Vec::new();
    for verb in &rule.verbs {
        for group in or_none(&rule.api_groups) {
            for resource in or_none(&rule.resources) {
                for name in or_none(&rule.resource_names) {
                    let name = if name.is_empty() { name } else { format!(":{name}") };
                    let slash = if group.is_empty() { "" } else { "/" };
                    all.push(format!("{verb} {group}{slash}{resource}{name}"));
                }
            }
        }
    }
    all
}

fn expected(list: &[&str]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (verbs, resources) in list.iter().filter_map(|line| line.split_once(' ')) {
        for verb in verbs.split(',') {
            all.extend(resources.split(' ').map(|resource| format!("{verb} {resource}")));
        }
    }
    all
}

/// What the operator may do in every namespace.
const OPERATOR: [&str; 4] = [
    "get,list,watch db.isotoma.com/databases db.isotoma.com/backups db.isotoma.com/restores db.isotoma.com/drivers",
    "get,list,watch batch/jobs",
    "get,list,watch namespaces",
    "create,patch events.k8s.io/events",
];

#[tokio::test]
async fn the_operator_may_do_exactly_what_is_written_down() {
    with_namespace("rbac_operator", async |test| {
        let account = "db-operator/db-operator";
        for elsewhere in ["default", "servers", "kube-system"] {
            assert_eq!(rights(account, elsewhere).await?, expected(&OPERATOR), "in {elsewhere}");
        }
        let tenant = [&OPERATOR[..], &["create batch/jobs"]].concat();
        assert_eq!(rights(account, &test.namespace).await?, expected(&tenant));
        let home = [
            &tenant[..],
            &[
                "create coordination.k8s.io/leases",
                "get,list,patch,watch coordination.k8s.io/leases:db-operator",
            ],
        ];
        assert_eq!(rights(account, OPERATOR_NAMESPACE).await?, expected(&home.concat()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_driver_may_touch_exactly_the_objects_of_its_namespace() {
    with_namespace("rbac_driver", async |test| {
        let account = format!("{}/db-operator-driver", test.namespace);
        let own = [
            "get,patch db.isotoma.com/databases",
            "get,create,patch db.isotoma.com/backups",
            "get db.isotoma.com/restores",
            "patch db.isotoma.com/databases/status db.isotoma.com/backups/status db.isotoma.com/restores/status",
            "get,create,patch secrets",
        ];
        assert_eq!(rights(&account, &test.namespace).await?, expected(&own));
        for elsewhere in ["default", "servers", OPERATOR_NAMESPACE] {
            assert_eq!(rights(&account, elsewhere).await?, BTreeSet::new(), "in {elsewhere}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_release_run_may_let_databases_and_backups_go_and_nothing_else() {
    let own = ["get,patch db.isotoma.com/databases db.isotoma.com/backups"];
    for namespace in ["default", OPERATOR_NAMESPACE] {
        assert_eq!(rights("db-operator/db-operator-release", namespace).await.unwrap(), expected(&own));
    }
}

#[tokio::test]
async fn the_operator_is_forbidden_to_read_secrets_and_to_write_databases() {
    with_namespace("rbac_forbidden", async |test| {
        let mut fixture = database("orders");
        fixture.spec.driver = "e2e-none".to_owned();
        test.create(&fixture).await?;
        let operator = client_as("system:serviceaccount:db-operator:db-operator").await?;
        let secrets: Api<Secret> = Api::namespaced(operator.clone(), &test.namespace);
        let databases: Api<Database> = Api::namespaced(operator.clone(), &test.namespace);
        let jobs: Api<Job> = Api::namespaced(operator, &test.namespace);
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}, "status": {"phase": "Created"}}));
        let trial = PatchParams::default();
        databases.get("orders").await.context("and yet it may read Databases")?;
        let answers = [
            ("get a Secret", secrets.get("postgresql-17-admin").await.err()),
            ("list Secrets", secrets.list(&ListParams::default()).await.err()),
            ("patch a Database", databases.patch("orders", &trial, &patch).await.err()),
            ("patch a status", databases.patch_status("orders", &trial, &patch).await.err()),
            ("delete a Database", databases.delete("orders", &DeleteParams::default()).await.err()),
            ("delete a Job", jobs.delete("x", &DeleteParams::default()).await.err()),
        ];
        for (what, error) in answers {
            let forbidden = matches!(&error, Some(kube::Error::Api(status)) if status.code == 403);
            anyhow::ensure!(forbidden, "the operator may {what}: {error:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn people_who_may_edit_a_namespace_may_write_databases_and_no_status() {
    let client = client().await.unwrap();
    let role: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(client);
    let edit = role.get("edit").await.unwrap();
    let ours = edit.rules.unwrap_or_default().into_iter().filter(|rule| {
        rule.api_groups.as_ref().is_some_and(|groups| groups.iter().any(|group| group == "db.isotoma.com"))
    });
    let rights: BTreeSet<String> = ours
        .flat_map(|rule| {
            let resources = rule.resources.unwrap_or_default();
            rule.verbs.into_iter().flat_map(move |verb| {
                resources.iter().map(|resource| format!("{verb} {resource}")).collect::<Vec<_>>()
            })
        })
        .collect();
    let written = ["create,update,patch,delete,deletecollection databases backups restores"];
    let seen = ["get,list,watch databases backups restores drivers"];
    assert_eq!(rights, expected(&[&written[..], &seen].concat()));
}
