//! What backups are, where nothing goes wrong but a driver.

use std::time::Duration;

use age::secrecy::ExposeSecret;

use super::*;
use crate::Completed;
use crate::client::Written;
use crate::encode::hex;
use driver::error::ErrorKind;

#[tokio::test]
async fn a_dump_comes_back_as_it_was() {
    let target = bucket().await;
    let store = store(&target);
    let text = Bytes::from("1\tone\n".repeat(500_000));
    let streams =
        [("schema", Bytes::from("CREATE TABLE t ();")), ("table t", text.clone()), ("table u", Bytes::new())];
    let upload = store.begin(LOCATION, Some("try-1"), &[]).await.unwrap();
    upload.expect(3_000_018);
    for (name, content) in &streams {
        write(&upload, name, content).await.unwrap();
    }
    let progress = upload.progress();
    assert_eq!((progress.expected_bytes(), progress.plain_bytes()), (3_000_018, 3_000_018));
    assert_eq!(store.read_manifest(LOCATION).await.unwrap(), None, "a backup before it is complete");
    let manifest = upload.complete(identity(), description()).await.unwrap().either().manifest;

    assert_eq!(manifest.totals.bytes, 3_000_018);
    assert_eq!(manifest.totals.stored_bytes, progress.stored_bytes());
    assert!(manifest.totals.stored_bytes < 100_000, "{:?}", manifest.totals);
    assert_eq!(store.read_manifest(LOCATION).await.unwrap().unwrap().manifest, manifest);
    let expected = ["manifest.json", "try-1/seg-00001.zst", "try-1/seg-00002.zst"];
    assert_eq!(keys_and_no_uploads(&target).await, expected.map(|key| format!("dumps/{LOCATION}/{key}")));

    store.verify(LOCATION, &manifest, None).await.unwrap();
    let download = store.open(LOCATION, manifest, None).unwrap();
    assert_eq!(download.description(), &description());
    let names: Vec<_> = download.streams().iter().map(|stream| stream.info.name.as_str()).collect();
    assert_eq!(names, ["schema", "table t", "table u"]);
    assert!(download.streams().iter().all(|stream| stream.rows == Some(7)));
    for (name, content) in &streams {
        assert_eq!(&read(&download, name).await.unwrap(), content, "{name}");
    }
    assert_eq!(read(&download, "table v").await.unwrap_err().kind(), ErrorKind::BackupDamaged);
}

/// The manifest is a contract with people: it changes with its version.
#[tokio::test]
async fn a_restore_by_hand_needs_the_manifest_and_two_tools() {
    let key = age::x25519::Identity::generate();
    let target = bucket().await;
    let content = noise(1, 100_000);
    let recipients = [key.to_public().to_string()];
    back_up(&store(&target), &recipients, &[("table t", content.clone())]).await.unwrap();

    let folder = format!("dumps/{LOCATION}");
    let manifest =
        client(&target).get(&format!("{folder}/manifest.json"), usize::MAX).await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["formatVersion"], 1);
    assert_eq!(manifest["backup"]["serverDatabase"], "shop_orders");
    assert_eq!(manifest["backup"]["databaseUid"], "11aa");
    assert_eq!(manifest["description"]["serverVersion"], "17.6");
    assert!(manifest["completed"].as_str().unwrap().ends_with('Z'), "{manifest}");
    assert_eq!(manifest["compression"], "zstd");
    assert_eq!(manifest["encryption"]["recipients"][0], recipients[0]);
    let stream = &manifest["streams"][0];
    assert_eq!(stream["name"], "table t");
    assert_eq!(stream["restoreWith"], "COPY table t FROM STDIN");
    assert_eq!((stream["rows"].as_u64(), stream["bytes"].as_u64()), (Some(7), Some(100_000)));
    let segment = &stream["segments"][0];
    let stored = client(&target)
        .get(&format!("{folder}/{}", segment["key"].as_str().unwrap()), usize::MAX)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(segment["bytes"].as_u64(), Some(stored.len() as u64));
    assert_eq!(segment["sha256"], hex(&<sha2::Sha256 as sha2::Digest>::digest(&stored)));
    let opened = age::decrypt(&key, &stored).unwrap();
    assert_eq!(zstd::decode_all(opened.as_slice()).unwrap(), content);
    assert_eq!(stream["sha256"], hex(&<sha2::Sha256 as sha2::Digest>::digest(&content)));
}

#[tokio::test]
async fn long_streams_become_several_objects_of_several_parts() {
    let target = bucket().await;
    let store = store(&target);
    let streams = [("one", noise(1, 16 << 20)), ("two", noise(2, 5 << 20)), ("three", noise(3, 5 << 20))];
    let manifest = back_up(&store, &[], &streams).await.unwrap();
    let lengths: Vec<Vec<u64>> =
        manifest.streams.iter().map(|stored| stored.segments.iter().map(|s| s.bytes).collect()).collect();
    assert_eq!(lengths[0].len(), 3, "{lengths:?}");
    assert!(lengths[0].iter().all(|bytes| *bytes < 7 << 20), "{lengths:?}");
    assert_eq!((lengths[1].len(), lengths[2].len()), (1, 1), "{lengths:?}");
    assert_eq!(keys_and_no_uploads(&target).await.len(), 6);
    store.verify(LOCATION, &manifest, None).await.unwrap();
    let download = store.open(LOCATION, manifest, None).unwrap();
    let mut readers = [download.open("one").await.unwrap(), download.open("two").await.unwrap()];
    assert!(readers[0].read().await.unwrap().is_some(), "two are open at once");
    assert!(readers[1].read().await.unwrap().is_some());
    drop(readers);
    for (name, content) in &streams {
        assert!(read(&download, name).await.unwrap() == content, "{name}");
    }
}

#[tokio::test]
async fn only_the_right_key_opens_an_encrypted_backup() {
    let keys = [
        age::x25519::Identity::generate(),
        age::x25519::Identity::generate(),
        age::x25519::Identity::generate(),
    ];
    let file =
        |key: &age::x25519::Identity| Secret::new(format!("# a key\n{}\n", key.to_string().expose_secret()));
    let target = bucket().await;
    let store = store(&target);
    let content = noise(1, 7 << 20);
    let recipients = [keys[0].to_public().to_string(), keys[1].to_public().to_string()];
    let manifest = back_up(&store, &recipients, &[("t", content.clone())]).await.unwrap();
    assert!(manifest.streams[0].segments[0].key.ends_with("/seg-00001.zst.age"));
    store.verify(LOCATION, &manifest, None).await.unwrap();
    for key in &keys[..2] {
        store.verify(LOCATION, &manifest, Some(&file(key))).await.unwrap();
        let download = store.open(LOCATION, manifest.clone(), Some(&file(key))).unwrap();
        assert!(read(&download, "t").await.unwrap() == content);
    }
    let wrong = [Some(file(&keys[2])), Some(Secret::new("hunter2")), Some(Secret::new("")), None];
    for identity in wrong {
        let error = store.open(LOCATION, manifest.clone(), identity.as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DecryptionFailed);
        assert!(!error.chain().contains("hunter2") && !error.chain().contains("SECRET-KEY-1Q"), "{error}");
    }
    let error = store.verify(LOCATION, &manifest, Some(&file(&keys[2]))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DecryptionFailed);
    assert!(error.to_string().contains(&recipients[0]), "{error}");
}

#[tokio::test]
async fn of_two_attempts_the_first_to_complete_is_the_backup() {
    let target = bucket().await;
    let store = store(&target);
    let early = store.begin(LOCATION, Some("early"), &[]).await.unwrap();
    let late = store.begin(LOCATION, Some("late"), &[]).await.unwrap();
    let third = store.begin(LOCATION, Some("third"), &[]).await.unwrap();
    write(&late, "t", &noise(2, 1000)).await.unwrap();
    write(&early, "t", &noise(1, 1000)).await.unwrap();
    let Completed::Ours(won) = early.complete(identity(), description()).await.unwrap() else {
        panic!("it was the first")
    };
    assert_eq!(won.manifest.attempt, "early");
    write(&third, "t", &noise(3, 1000)).await.unwrap();
    for loser in [&late, &third, &early] {
        // To have won before is no more: somebody else may have put what is there.
        let found = loser.complete(identity(), description()).await.unwrap();
        assert_eq!(found, Completed::Other(won.clone()));
    }
    store.verify(LOCATION, &won.manifest, None).await.unwrap();
    let keys = keys_and_no_uploads(&target).await;
    assert!(!keys.iter().any(|key| key.contains("/late/")), "the winner removes what lost: {keys:?}");
    assert!(keys.iter().any(|key| key.contains("/third/")), "a loser removes nothing: {keys:?}");
}

#[tokio::test]
async fn the_first_manifest_stays() {
    let target = bucket().await;
    let client = client(&target);
    assert_eq!(client.put_if_absent("a", b"one").await.unwrap(), Written::Ours);
    assert_eq!(client.put_if_absent("a", b"one").await.unwrap(), Written::Ours);
    assert_eq!(client.put_if_absent("a", b"two").await.unwrap(), Written::Other(Bytes::from("one")));
    assert_eq!(client.get("a", usize::MAX).await.unwrap().unwrap(), "one");
}

#[tokio::test]
async fn a_dump_with_an_unfinished_stream_is_no_backup() {
    let target = bucket().await;
    let store = store(&target);
    let upload = store.begin(LOCATION, None, &[]).await.unwrap();
    write(&upload, "whole", &noise(1, 1000)).await.unwrap();
    let mut writer = upload.open(info("half")).await.unwrap();
    writer.write(noise(2, 5_500_000)).await.unwrap();
    until_uploading(&target, true).await;
    drop(writer);
    until_uploading(&target, false).await;
    let error = upload.complete(identity(), description()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("stream \"half\""), "{error}");
    upload.abort().await.unwrap();
    assert_eq!(store.read_manifest(LOCATION).await.unwrap(), None);
    assert!(!keys_and_no_uploads(&target).await.iter().any(|key| key.ends_with("manifest.json")));

    let manifest = back_up(&store, &[], &[("whole", noise(1, 1000))]).await.unwrap();
    let keys = keys_and_no_uploads(&target).await;
    assert_eq!(keys.len(), 2, "the next attempt removes what is left: {keys:?}");
    store.verify(LOCATION, &manifest, None).await.unwrap();
}

#[tokio::test]
async fn a_stream_is_opened_once() {
    let upload = store(&bucket().await).begin(LOCATION, None, &[]).await.unwrap();
    let _writer = upload.open(info("t")).await.unwrap();
    let error = upload.open(info("t")).await.unwrap_err();
    assert!(error.to_string().contains("opened twice"), "{error}");
}

/// Waits until an upload is under way, or none is.
async fn until_uploading(target: &StoreTarget, uploading: bool) {
    let client = client(target);
    for _ in 0..400 {
        if client.list_uploads("").await.unwrap().is_empty() != uploading {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to that");
}

#[tokio::test]
async fn an_attempt_that_is_given_up_leaves_no_upload() {
    let target = bucket().await;
    let upload = store(&target).begin(LOCATION, None, &[]).await.unwrap();
    let mut writer = upload.open(info("t")).await.unwrap();
    writer.write(noise(1, 5_500_000)).await.unwrap();
    writer.write(noise(2, 1_000_000)).await.unwrap();
    until_uploading(&target, true).await;
    upload.abort().await.unwrap();
    keys_and_no_uploads(&target).await;
    let error = writer.finish(None).await.unwrap_err();
    assert!(error.to_string().contains("given up"), "{error}");

    let upload = store(&target).begin(LOCATION, None, &[]).await.unwrap();
    write(&upload, "t", &noise(1, 1000)).await.unwrap();
    upload.abort().await.unwrap();
    let error = upload.complete(identity(), description()).await.unwrap_err();
    assert!(error.to_string().contains("given up"), "{error}");
    assert_eq!(store(&target).read_manifest(LOCATION).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_attempt_ends_what_dead_ones_have_left() {
    let target = bucket().await;
    let (store, client) = (store(&target), client(&target));
    let dead = client.begin_upload(&format!("dumps/{LOCATION}/dead/seg-00001.zst")).await.unwrap();
    client.put(&format!("dumps/{LOCATION}/dead/seg-00002.zst"), b"left").await.unwrap();
    let foreign = client.begin_upload(&format!("dumps/{LOCATION}0/live/seg-00001.zst")).await.unwrap();
    client.put(&format!("dumps/{LOCATION}0/live/seg-00002.zst"), b"not ours").await.unwrap();
    let upload = store.begin(LOCATION, Some("now"), &[]).await.unwrap();
    assert_eq!(client.list_uploads("").await.unwrap(), std::slice::from_ref(&foreign));
    let error = client.put_part(&dead, 1, b"late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    write(&upload, "t", &noise(1, 1000)).await.unwrap();
    let _ = upload.complete(identity(), description()).await.unwrap();
    let expected = [
        format!("dumps/{LOCATION}/manifest.json"),
        format!("dumps/{LOCATION}/now/seg-00001.zst"),
        format!("dumps/{LOCATION}0/live/seg-00002.zst"),
    ];
    assert_eq!(client.list("").await.unwrap().into_keys().collect::<Vec<_>>(), expected);
    client.abort_upload(&foreign).await.unwrap();
    client.abort_upload(&foreign).await.unwrap();
}

#[tokio::test]
async fn a_deleted_backup_is_gone_and_its_neighbour_is_not() {
    let target = bucket().await;
    let (store, client) = (store(&target), client(&target));
    back_up(&store, &[], &[("t", noise(1, 1000)), ("u", noise(2, 1000))]).await.unwrap();
    client.put(&format!("dumps/{LOCATION}0/manifest.json"), b"{}").await.unwrap();
    client.begin_upload(&format!("dumps/{LOCATION}/dead/seg-00001.zst")).await.unwrap();
    for _ in 0..2 {
        store.delete(LOCATION).await.unwrap();
        assert_eq!(keys_and_no_uploads(&target).await, [format!("dumps/{LOCATION}0/manifest.json")]);
    }
    assert_eq!(store.read_manifest(LOCATION).await.unwrap(), None);
    for location in ["", "/", "a//b", "..", "a/../../b"] {
        assert_eq!(store.delete(location).await.unwrap_err().kind(), ErrorKind::Invalid, "{location:?}");
    }
}

/// What a Backup's status records is compared with it, also the status that an earlier release has written: of the
/// manifest as it was parsed and written again.
#[tokio::test]
async fn the_checksum_of_a_manifest_is_that_of_its_bytes_and_survives_being_parsed() {
    let target = bucket().await;
    let store = store(&target);
    let upload = store.begin(LOCATION, None, &[]).await.unwrap();
    write(&upload, "t", &noise(1, 1000)).await.unwrap();
    let details = serde_json::json!({"zebra": {"b": 1.5, "a": [null, true]}, "ant": "\u{e4}\u{1F600}\n"});
    let described = Description { details, ..description() };
    let written = upload.complete(identity(), described).await.unwrap().either();
    let bytes =
        client(&target).get(&format!("dumps/{LOCATION}/manifest.json"), usize::MAX).await.unwrap().unwrap();
    assert_eq!(written.sha256, driver::names::sha256(&bytes));
    let found = store.read_manifest(LOCATION).await.unwrap().unwrap();
    assert_eq!(found, written);
    assert_eq!(driver::names::sha256(&found.manifest.to_json().unwrap()), found.sha256);
    // One more space is another manifest, whatever it says.
    tamper(&target, &format!("dumps/{LOCATION}/manifest.json"), |mut bytes| {
        bytes.push(b' ');
        Some(bytes)
    })
    .await;
    let changed = store.read_manifest(LOCATION).await.unwrap().unwrap();
    assert_eq!(changed.manifest, written.manifest);
    assert_ne!(changed.sha256, written.sha256);
}
