//! The Job that the operator has launched, and what a thief would make of it.

use anyhow::{Context as _, Result};
use e2e::Context;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use serde_json::{Value, json};

/// Where the environment of the container is.
const ENVIRONMENT: &str = "/spec/template/spec/containers/0/env";

/// Where Jobs of that namespace are created.
pub(crate) fn jobs_of(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/jobs")
}

/// The Job that created a Database of the test, under a name that is free: a Job that the policy admits.
pub(crate) async fn admissible(test: &Context) -> Result<Value> {
    let selection = ListParams::default().labels("db.isotoma.com/operation=create");
    let jobs = test.api::<Job>().list(&selection).await?;
    let mut job = serde_json::to_value(jobs.items.into_iter().next().context("no Job has created it")?)?;
    let name = job.pointer("/metadata/name").and_then(Value::as_str).context("a Job without a name")?;
    let (series, _) = name.rsplit_once('-').context("a Job's name ends with its attempt")?;
    let name = format!("{series}-99");
    let labels: Value = own_labels(&job["metadata"]["labels"]);
    job["metadata"] = json!({"name": name, "namespace": test.namespace, "labels": labels,
        "annotations": job["metadata"]["annotations"]});
    job["spec"]["template"]["metadata"]["labels"] =
        own_labels(&job["spec"]["template"]["metadata"]["labels"]);
    for key in ["selector", "manualSelector"] {
        job["spec"].as_object_mut().context("a Job without a spec")?.remove(key);
    }
    job.as_object_mut().context("a Job is an object")?.remove("status");
    job["apiVersion"] = json!("batch/v1");
    job["kind"] = json!("Job");
    set_variable(&mut job, "DB_OPERATOR_JOB", json!({"value": name}));
    Ok(job)
}

/// Without those that the API server has added.
fn own_labels(labels: &Value) -> Value {
    let labels = labels.as_object().into_iter().flatten();
    labels
        .filter(|(key, _)| !key.contains("controller-uid") && !key.contains("job-name"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Sets a variable of the container, whatever it was.
pub(crate) fn set_variable(job: &mut Value, name: &str, value: Value) {
    let Some(variables) = job.pointer_mut(ENVIRONMENT).and_then(Value::as_array_mut) else { return };
    variables.retain(|variable| variable["name"] != name);
    add(variables, name, value);
}

/// Adds a variable, also where one of the name is there.
pub(crate) fn add_variable(job: &mut Value, name: &str, value: Value) {
    if let Some(variables) = job.pointer_mut(ENVIRONMENT).and_then(Value::as_array_mut) {
        add(variables, name, value);
    }
}

fn add(variables: &mut Vec<Value>, name: &str, mut value: Value) {
    value["name"] = json!(name);
    variables.push(value);
}

/// What is taken from that key of that Secret.
pub(crate) fn from_secret(name: &str, key: &str) -> Value {
    json!({"valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
}

/// A way out: what it is, and what it changes of the Job.
pub(crate) type Change = (&'static str, fn(&mut Value));

fn pod(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]
}

fn container(job: &mut Value) -> &mut Value {
    &mut pod(job)["containers"][0]
}

fn mount(job: &mut Value, source: Value) {
    let mut volume = source;
    volume["name"] = json!("stolen");
    pod(job)["volumes"] = json!([volume]);
    container(job)["volumeMounts"] = json!([{"name": "stolen", "mountPath": "/stolen"}]);
}

/// Each changes one thing of a Job that is admitted as it stands.
pub(crate) const CHANGES: [Change; 50] = [
    ("a Job under another service account", |job| pod(job)["serviceAccountName"] = json!("default")),
    ("a Job with another image", |job| container(job)["image"] = json!("docker.io/library/busybox:1")),
    ("a Job with an image whose name begins as an allowed one's", |job| {
        let image = container(job)["image"].as_str().unwrap_or_default().replacen(':', "-evil:", 1);
        container(job)["image"] = json!(image);
    }),
    ("a Job with another command", |job| container(job)["command"] = json!(["/bin/sh", "-c", "id"])),
    ("a Job with other arguments", |job| container(job)["args"] = json!(["--help"])),
    ("a Job with an init container", |job| {
        let mut first = container(job).clone();
        first["name"] = json!("first");
        pod(job)["initContainers"] = json!([first]);
    }),
    ("a Job with a second container", |job| {
        let mut second = container(job).clone();
        second["name"] = json!("second");
        let first = container(job).clone();
        pod(job)["containers"] = json!([first, second]);
    }),
    ("a Job whose pod nobody can delete", |job| {
        job["spec"]["template"]["metadata"]["finalizers"] = json!(["example.com/never"]);
    }),
    ("a Job with the addresses of the namespace's Services in its environment", |job| {
        pod(job)["enableServiceLinks"] = json!(true);
    }),
    ("a Job that shows a file of its container in its status", |job| {
        container(job)["terminationMessagePath"] = json!("/proc/1/environ");
    }),
    ("a Job with a hook", |job| {
        container(job)["lifecycle"] = json!({"postStart": {"exec": {"command": ["/bin/sh"]}}});
    }),
    ("a Job with a probe", |job| {
        container(job)["livenessProbe"] = json!({"exec": {"command": ["/bin/sh"]}});
    }),
    ("a Job with a volume of the host", |job| mount(job, json!({"hostPath": {"path": "/"}}))),
    ("a Job with a mounted Secret", |job| {
        mount(job, json!({"secret": {"secretName": "postgresql-17-admin"}}));
    }),
    ("a Job with a mounted token for others", |job| {
        let token = json!({"serviceAccountToken": {"path": "token", "audience": "vault"}});
        mount(job, json!({"projected": {"sources": [token]}}));
    }),
    ("a Job with a mounted folder", |job| mount(job, json!({"emptyDir": {}}))),
    ("a Job with a Secret mounted in place of the authorities", |job| {
        let items = json!([{"key": "password", "path": "00000000.0"}]);
        pod(job)["volumes"] =
            json!([{"name": "store-ca", "secret": {"secretName": "postgresql-17-admin", "items": items}}]);
        container(job)["volumeMounts"] =
            json!([{"name": "store-ca", "mountPath": "/etc/db-operator/store", "readOnly": true}]);
    }),
    ("a Job whose container is privileged", |job| {
        container(job)["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        container(job)["securityContext"]["privileged"] = json!(true);
    }),
    ("a Job that runs as root", |job| pod(job)["securityContext"]["runAsUser"] = json!(0)),
    ("a Job that may run as root", |job| pod(job)["securityContext"]["runAsNonRoot"] = json!(false)),
    ("a Job with a capability", |job| {
        container(job)["securityContext"]["capabilities"]["add"] = json!(["NET_ADMIN"]);
    }),
    ("a Job without a seccomp profile", |job| {
        pod(job)["securityContext"]["seccompProfile"] = json!({"type": "Unconfined"});
    }),
    ("a Job that writes its root", |job| {
        container(job)["securityContext"]["readOnlyRootFilesystem"] = json!(false);
    }),
    ("a Job in the host's network", |job| pod(job)["hostNetwork"] = json!(true)),
    ("a Job among the host's processes", |job| pod(job)["hostPID"] = json!(true)),
    ("a Job past the scheduler", |job| pod(job)["nodeName"] = json!("node")),
    ("a Job with a runtime class", |job| pod(job)["runtimeClassName"] = json!("kata")),
    ("a Job with a priority", |job| pod(job)["priorityClassName"] = json!("system-cluster-critical")),
    ("a Job with aliases of hosts", |job| {
        pod(job)["hostAliases"] = json!([{"ip": "192.0.2.1", "hostnames": ["db.example.com"]}]);
    }),
    ("a Job with a DNS server", |job| pod(job)["dnsConfig"] = json!({"nameservers": ["192.0.2.1"]})),
    ("a Job with the node's DNS", |job| pod(job)["dnsPolicy"] = json!("Default")),
    ("a Job with the environment of a whole Secret", |job| {
        container(job)["envFrom"] = json!([{"secretRef": {"name": "postgresql-17-admin"}}]);
    }),
    ("a Job with another Secret than it says", |job| {
        set_variable(job, "DB_OPERATOR_ADMIN_PASSWORD", from_secret("postgresql-18-admin", "password"));
    }),
    ("a Job that does not say which Secret", |job| {
        let environment = job.pointer_mut(ENVIRONMENT).and_then(Value::as_array_mut);
        if let Some(all) = environment {
            all.retain(|variable| variable["name"] != "DB_OPERATOR_ADMIN_PASSWORD_FROM");
        }
    }),
    ("a Job that says twice which Secret", |job| {
        add_variable(
            job,
            "DB_OPERATOR_ADMIN_PASSWORD_FROM",
            json!({"value": "postgresql-18-admin/password"}),
        );
    }),
    ("a Job with a Secret in a variable of its own", |job| {
        add_variable(job, "RUST_LOG", from_secret("postgresql-17-admin", "password"));
    }),
    ("a Job with a Secret in a variable that is no secret's", |job| {
        set_variable(job, "DB_OPERATOR_LOG_FORMAT", from_secret("postgresql-17-admin", "password"));
    }),
    ("a Job that writes a secret where another text belongs", |job| {
        set_variable(job, "DB_OPERATOR_DATABASE", json!({"value": "$(DB_OPERATOR_ADMIN_PASSWORD)"}));
    }),
    ("a Job that writes a secret where a variable of the platform's belongs", |job| {
        add_variable(job, "AWS_ENDPOINT_URL", json!({"value": "$(DB_OPERATOR_ADMIN_PASSWORD)"}));
    }),
    ("a Job with a server of choice", |job| {
        add_variable(job, "PGHOST", json!({"value": "evil.example.com"}));
    }),
    ("a Job with a proxy of choice", |job| {
        add_variable(job, "HTTPS_PROXY", json!({"value": "http://evil.example.com"}));
    }),
    ("a Job with authorities of choice", |job| {
        add_variable(job, "SSL_CERT_FILE", json!({"value": "/tmp/evil.pem"}));
    }),
    ("a Job for another namespace", |job| {
        set_variable(job, "DB_OPERATOR_NAMESPACE", json!({"value": "servers"}));
    }),
    ("a Job of another operation than its label says", |job| {
        set_variable(job, "DB_OPERATOR_OPERATION", json!({"value": "delete"}));
    }),
    ("a Job under a foreign name", |job| job["metadata"]["name"] = json!("miner")),
    ("a Job that is labelled as others'", |job| {
        job["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    }),
    ("a Job whose pod others inject something into", |job| {
        job["spec"]["template"]["metadata"]["annotations"] =
            json!({"vault.hashicorp.com/agent-inject": "true"});
    }),
    ("a Job that cannot be deleted", |job| job["metadata"]["finalizers"] = json!(["example.com/stay"])),
    ("a Job of a thousand pods", |job| {
        job["spec"]["parallelism"] = json!(1000);
        job["spec"]["completions"] = json!(1000);
    }),
    ("a Job without a deadline", |job| {
        if let Some(spec) = job["spec"].as_object_mut() {
            spec.remove("activeDeadlineSeconds");
        }
    }),
];
