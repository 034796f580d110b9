//! Backups that are not what was written.

use age::secrecy::ExposeSecret;

use super::*;
use driver::error::{DriverError, ErrorKind};

/// A store that begins a new object as often as it can.
fn cut_often(target: &StoreTarget) -> Store {
    Store::with(target.clone(), HASTY, Sizes { segment: 1, ..SMALL }).unwrap()
}

/// What a backup with that change says to a check and to a load, which must say the same.
async fn said(store: &Store, manifest: &Manifest, identity: Option<&Secret>) -> DriverError {
    let checked = store.verify(LOCATION, manifest, identity).await.unwrap_err();
    if manifest.encryption.is_none() || identity.is_some() {
        let download = store.open(LOCATION, manifest.clone(), identity).unwrap();
        let loaded = read(&download, "t").await.unwrap_err();
        assert_eq!(loaded.to_string(), checked.to_string());
    }
    checked
}

#[tokio::test]
async fn what_is_changed_cut_short_or_gone_is_named() {
    let key = age::x25519::Identity::generate();
    let secret = Secret::new(key.to_string().expose_secret());
    let content = noise(1, 2 << 20);
    let ways: [(&[String], Option<&Secret>); 3] = [
        (&[], None),
        (&[key.to_public().to_string()], Some(&secret)),
        (&[key.to_public().to_string()], None),
    ];
    for (recipients, identity) in ways {
        let target = bucket().await;
        let (store, client) = (cut_often(&target), client(&target));
        let manifest = back_up(&store, recipients, &[("t", content.clone())]).await.unwrap();
        let segment = format!("dumps/{LOCATION}/{}", manifest.streams[0].segments[1].key);
        let stored = client.get(&segment, usize::MAX).await.unwrap().unwrap();
        let length = stored.len();
        for place in [0, 5, 40, 90, 200, length / 2, length - 1] {
            let mut changed = stored.to_vec();
            changed[place] ^= 4;
            client.put(&segment, &changed).await.unwrap();
            let error = said(&store, &manifest, identity).await;
            assert_eq!(error.kind(), ErrorKind::BackupDamaged, "{place}: {error}");
            assert!(error.to_string().contains(&segment), "{place}: {error}");
        }
        let other: [Vec<u8>; 3] = [stored[..length - 1].to_vec(), Vec::new(), [&stored[..], b"x"].concat()];
        for changed in other {
            client.put(&segment, &changed).await.unwrap();
            let error = said(&store, &manifest, identity).await;
            assert_eq!(error.kind(), ErrorKind::BackupDamaged, "{error}");
            assert!(error.to_string().contains(&segment), "{error}");
        }
        client.delete(&segment).await.unwrap();
        let error = said(&store, &manifest, identity).await;
        assert_eq!(error.kind(), ErrorKind::BackupDamaged, "{error}");
        assert!(error.to_string().contains(&segment) && error.to_string().contains("missing"), "{error}");
        client.put(&segment, &stored).await.unwrap();
        store.verify(LOCATION, &manifest, identity).await.unwrap();
    }
}

#[tokio::test]
async fn plain_bytes_are_checked_beside_stored_ones() {
    let target = bucket().await;
    let store = cut_often(&target);
    let manifest = back_up(&store, &[], &[("t", noise(1, 2 << 20)), ("u", Bytes::new())]).await.unwrap();
    let mut changes: Vec<Manifest> = vec![manifest.clone(); 4];
    changes[0].streams[0].segments.swap(0, 1);
    changes[1].streams[0].segments.pop();
    changes[2].streams[0].stream.bytes += 1;
    changes[3].streams[0].sha256 = changes[3].streams[1].sha256.clone();
    for changed in &changes {
        let error = said(&store, changed, None).await;
        assert_eq!(error.kind(), ErrorKind::BackupDamaged, "{error}");
        assert!(error.to_string().contains("stream \"t\""), "{error}");
    }
}

#[tokio::test]
async fn a_manifest_of_a_newer_release_is_refused() {
    let target = bucket().await;
    let (store, client) = (store(&target), client(&target));
    let manifest = format!("dumps/{LOCATION}/manifest.json");
    let cases = [
        (r#"{"formatVersion": 2, "new": true}"#, ErrorKind::Unsupported, "format version 2"),
        (r#"{"formatVersion": 1}"#, ErrorKind::BackupDamaged, "missing field"),
        (r"{}", ErrorKind::BackupDamaged, "no format version"),
        (r#"{"formatVersion": 1, "ba"#, ErrorKind::BackupDamaged, "EOF"),
    ];
    for (content, kind, sentence) in cases {
        client.put(&manifest, content.as_bytes()).await.unwrap();
        let error = store.read_manifest(LOCATION).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{content}");
        assert!(error.to_string().contains(sentence), "{error}");
        assert!(error.to_string().contains(&format!("s3://{}/{manifest}", target.bucket)), "{error}");
    }
}
