//! Stores that do not let us in.

use super::*;
use driver::error::ErrorKind;

#[tokio::test]
async fn a_store_that_refuses_says_why_and_what_to_do() {
    let right = bucket().await;
    let login = |access_key_id: &str, secret_key: &str| StoreCredentials::Static {
        access_key_id: access_key_id.to_owned(),
        secret_key: Secret::new(secret_key),
        session_token: None,
    };
    let cases = [
        (
            StoreTarget { bucket: "test-nowhere".to_owned(), ..right.clone() },
            ErrorKind::BucketMissing,
            "create the bucket",
        ),
        (
            StoreTarget { credentials: login("test", "hunter2"), ..right.clone() },
            ErrorKind::StorageDenied,
            "access key",
        ),
        (
            StoreTarget { credentials: login("nobody", "hunter2"), ..right.clone() },
            ErrorKind::StorageDenied,
            "access key",
        ),
        (StoreTarget { region: "mars-1".to_owned(), ..right.clone() }, ErrorKind::BucketMissing, "region"),
        (
            StoreTarget { endpoint: Some("http://127.0.0.1:1".to_owned()), ..right.clone() },
            ErrorKind::StorageUnreachable,
            "Connection refused",
        ),
        (
            StoreTarget { endpoint: Some("http://store.invalid".to_owned()), ..right.clone() },
            ErrorKind::StorageUnreachable,
            "is up and reachable",
        ),
        (
            StoreTarget { endpoint: Some("https://127.0.0.1:1 2".to_owned()), ..right.clone() },
            ErrorKind::StorageUnreachable,
            "url",
        ),
    ];
    for (target, kind, sentence) in cases {
        let patience = Patience { total: HASTY.longest, ..HASTY };
        let store = Store::with(target.clone(), patience, SMALL).unwrap();
        let client = Client::new(target.clone(), patience).unwrap();
        let errors = [
            store.begin(LOCATION, None, &[]).await.unwrap_err(),
            store.read_manifest(LOCATION).await.unwrap_err(),
            store.delete(LOCATION).await.unwrap_err(),
            client.put("a", b"a").await.unwrap_err(),
            client.begin_upload("a").await.unwrap_err(),
        ];
        for error in errors {
            let message = error.chain();
            assert_eq!(error.kind(), kind, "{message}");
            assert!(message.contains(sentence), "{message}");
            assert!(message.contains(&target.endpoint()) && message.contains(&target.bucket), "{message}");
            assert!(!message.contains("hunter2") && !message.contains("testsecret"), "{message}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_written() {
    let store = store(&bucket().await);
    for (location, attempt, recipient) in
        [("a/../b", None, None), ("a", Some("b/c"), None), ("a", Some(""), None), ("a", None, Some("age1no"))]
    {
        let recipients: Vec<String> = recipient.map(str::to_owned).into_iter().collect();
        let error = store.begin(location, attempt, &recipients).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}
