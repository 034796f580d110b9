//! Words of a spec and keys of a manifest that would lead elsewhere.

use serde_json::{Value, json};

use super::*;
use driver::error::ErrorKind;

#[tokio::test]
async fn a_target_that_would_lead_elsewhere_makes_no_store() {
    let right = bucket().await;
    let region = |region: &str| StoreTarget { region: region.to_owned(), endpoint: None, ..right.clone() };
    let bucket = |bucket: &str| StoreTarget { bucket: bucket.to_owned(), ..right.clone() };
    let prefix = |prefix: &str| StoreTarget { prefix: Some(prefix.to_owned()), ..right.clone() };
    let bad = [
        ("region", region("x.evil.example/")),
        ("region", region("eu-west-1.evil.example")),
        ("region", region("eu-west-1@evil")),
        ("region", region("")),
        ("region", region("-")),
        ("bucket", bucket("a/b")),
        ("bucket", bucket("a..b")),
        ("bucket", bucket("../ab")),
        ("bucket", bucket("10.0.0.1")),
        ("bucket", bucket("ab")),
        ("bucket", bucket("dumps?x")),
        ("bucket", bucket("Dumps")),
        ("bucket", bucket(&"a".repeat(64))),
        ("prefix", prefix("team-a/../team-b")),
        ("prefix", prefix("../team-b")),
        ("prefix", prefix("a/./b")),
        ("prefix", prefix("a//b")),
        ("prefix", prefix("//")),
        ("prefix", prefix("a b")),
        ("prefix", prefix("a?b")),
        ("prefix", prefix("a%2e%2e")),
        ("prefix", prefix(&"a".repeat(513))),
    ];
    for (field, target) in bad {
        let case = format!("{target:?}");
        let error = Store::with(target, HASTY, SMALL).expect_err(&case);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{case}");
        assert!(error.to_string().contains(&format!("s3.{field}")), "{case}: {error}");
    }
    let good = [
        region("eu-west-1"),
        region("RegionOne"),
        region("my_region"),
        bucket("a.b-c"),
        bucket("10.0.0.1.dumps"),
        prefix(""),
        prefix("/"),
        prefix("/team-a/.b/c..d/"),
        prefix("env=prod/(old)/x!*'"),
    ];
    for target in good {
        let case = format!("{target:?}");
        Store::with(target, HASTY, SMALL).expect(&case);
    }
}

#[tokio::test]
async fn a_path_that_would_lead_elsewhere_is_refused_whatever_is_to_be_done_there() {
    let target = bucket().await;
    let store = store(&target);
    let manifest = back_up(&store, &[], &[("t", noise(1, 100))]).await.unwrap();
    for path in
        ["", "/", "a//b", "..", ".", "a/../../b", "../../other", "/a", "a/", "a b", "a?versionId=1", "a#b"]
    {
        let errors = [
            store.begin(path, None, &[]).await.unwrap_err(),
            store.read_manifest(path).await.unwrap_err(),
            store.delete(path).await.unwrap_err(),
            store.check_lengths(path, &manifest).await.unwrap_err(),
            store.verify(path, &manifest, None).await.unwrap_err(),
            store.open(path, manifest.clone(), None).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{path:?}: {error}");
        }
    }
    assert_eq!(keys_and_no_uploads(&target).await.len(), 2);
}

/// What a store that holds a manifest with that change says of it.
async fn said(change: impl Fn(&mut Value), recipients: &[String]) -> Result<Manifest> {
    let target = bucket().await;
    let store = store(&target);
    back_up(&store, recipients, &[("t", noise(1, 100)), ("u", noise(2, 100))]).await.unwrap();
    tamper(&target, &format!("dumps/{LOCATION}/manifest.json"), |bytes| {
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut manifest);
        Some(serde_json::to_vec(&manifest).unwrap())
    })
    .await;
    Ok(store.read_manifest(LOCATION).await?.unwrap().manifest)
}

#[tokio::test]
async fn a_manifest_names_only_segments_of_its_own_attempt() {
    said(|_| {}, &[]).await.unwrap();
    let attempt = |manifest: &Value| manifest["attempt"].as_str().unwrap().to_owned();
    for key in [
        "../../other",
        "../../../other/seg-00001.zst",
        "{}/../../other/seg-00001.zst",
        "{}/../{}/seg-00001.zst",
        "other/seg-00001.zst",
        "/{}/seg-00001.zst",
        "seg-00001.zst",
        "{}/seg-1.zst",
        "{}/seg-0000a.zst",
        "{}/seg-00001.zst.gz",
        "{}/seg-00001.zst.age",
        "{}/seg-00001.zst/x",
        "{}/manifest.json",
        "",
    ] {
        let change = |manifest: &mut Value| {
            let key = key.replace("{}", &attempt(manifest));
            manifest["streams"][1]["segments"][0]["key"] = json!(key);
        };
        let error = said(change, &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BackupDamaged, "{key}: {error}");
        assert!(error.to_string().contains("names the object"), "{key}: {error}");
    }
    // An attempt is a folder's name and nothing else.
    for name in ["..", ".", "", "a/b", "a b", "../x"] {
        let change = |manifest: &mut Value| {
            let text = manifest.to_string().replace(&attempt(manifest), name);
            *manifest = serde_json::from_str(&text).unwrap();
        };
        let error = said(change, &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BackupDamaged, "{name:?}: {error}");
    }
    // Of an encrypted backup all are encrypted.
    let key = [age::x25519::Identity::generate().to_public().to_string()];
    said(|_| {}, &key).await.unwrap();
    let plain = |manifest: &mut Value| {
        let key = manifest["streams"][0]["segments"][0]["key"].as_str().unwrap().to_owned();
        manifest["streams"][0]["segments"][0]["key"] = json!(key.trim_end_matches(".age"));
    };
    assert_eq!(said(plain, &key).await.unwrap_err().kind(), ErrorKind::BackupDamaged);
}

/// What the patterns take must not end in a signature that does not match.
#[tokio::test]
async fn a_backup_is_kept_under_a_prefix_of_every_character_that_may_be() {
    let target = StoreTarget { prefix: Some("/Az09!_'()*=.-/.x/c..d/".to_owned()), ..bucket().await };
    let store = store(&target);
    let manifest = back_up(&store, &[], &[("t", noise(1, 6 << 20))]).await.unwrap();
    store.verify(LOCATION, &manifest, None).await.unwrap();
    store.check_lengths(LOCATION, &manifest).await.unwrap();
    assert_eq!(store.read_manifest(LOCATION).await.unwrap().unwrap().manifest, manifest);
    store.delete(LOCATION).await.unwrap();
    assert_eq!(keys_and_no_uploads(&target).await, Vec::<String>::new());
}
