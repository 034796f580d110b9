//! Stores that send more than they were asked for, or not what they were asked for, or late.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::proxy::{Asked, Fate, through};
use super::*;
use driver::error::{DriverError, ErrorKind};

/// A text that lives as long as the process.
fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A store behind `target` that answers so whatever matches, and lets the rest pass.
async fn answering(
    target: &StoreTarget,
    matches: impl Fn(&Asked) -> bool + Send + 'static,
    status: u16,
    body: &'static str,
) -> StoreTarget {
    through(target, move |asked| if matches(asked) { Fate::Answer(status, body) } else { Fate::Pass }).await.0
}

fn is_list(asked: &Asked) -> bool {
    asked.path.contains("list-type=2")
}

fn is_manifest(asked: &Asked) -> bool {
    asked.method == "GET" && asked.path.ends_with("/manifest.json")
}

#[tokio::test]
async fn a_store_that_ignores_ranges_is_not_taken_for_a_damaged_backup() {
    let target = bucket().await;
    let manifest = back_up(&store(&target), &[], &[("t", noise(1, 5 << 20))]).await.unwrap();
    // All of it in place of the first range, and as much as was asked for, but from the beginning.
    let first = |asked: &Asked| asked.headers.contains("range: bytes=0-");
    let later = |asked: &Asked| asked.headers.contains("range: bytes=2097152-");
    for (matches, length) in [(first as fn(&Asked) -> bool, 5 << 20), (later, 2 << 20)] {
        let proxied = answering(&target, matches, 200, leaked("x".repeat(length))).await;
        let error = store(&proxied).verify(LOCATION, &manifest, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageUnreachable, "{error}");
        assert!(error.to_string().contains("it ignores ranges"), "{error}");
    }
}

#[tokio::test]
async fn what_a_store_says_is_read_and_repeated_within_limits() {
    let target = bucket().await;
    back_up(&store(&target), &[], &[("t", noise(1, 100))]).await.unwrap();
    let long = leaked(format!(
        "<Error><Code>{0}</Code><Message>{0}</Message></Error>",
        "&lt;x&gt; ".repeat(1 << 20)
    ));
    for status in [400, 403, 404] {
        let proxied = answering(&target, is_manifest, status, long).await;
        let said = match store(&proxied).read_manifest(LOCATION).await {
            Ok(found) => {
                assert_eq!((status, found), (404, None));
                continue;
            }
            Err(error) => error.to_string(),
        };
        assert!(said.len() < 2000, "{} characters", said.len());
    }
    let entities = "<Error><Code>AccessDenied</Code><Message>&lt;a&gt; &amp; &quot;b&quot; &apos;c&#39;</Message></Error>";
    let proxied = answering(&target, is_manifest, 403, entities).await;
    let said = store(&proxied).read_manifest(LOCATION).await.unwrap_err().to_string();
    assert!(said.contains("<a> & \"b\" 'c'"), "{said}");

    // A manifest has an end.
    let endless = leaked(" ".repeat((64 << 20) + 1));
    let proxied = answering(&target, is_manifest, 200, endless).await;
    let error = store(&proxied).read_manifest(LOCATION).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BackupDamaged, "{error}");
    assert!(error.to_string().contains("longer than"), "{error}");
}

async fn listed(target: &StoreTarget, pages: [&'static str; 2]) -> Result<Vec<String>, DriverError> {
    let mut pages = pages.into_iter().cycle();
    let (proxied, _log) =
        through(
            target,
            move |asked| {
                if is_list(asked) { Fate::Answer(200, pages.next().unwrap()) } else { Fate::Pass }
            },
        )
        .await;
    Ok(client(&proxied).list("").await?.into_keys().collect())
}

#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    let target = bucket().await;
    let contents = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
    let page = |inner: String| {
        leaked(format!("<?xml version=\"1.0\"?><ListBucketResult>{inner}</ListBucketResult>"))
    };
    let next = |token: &str| format!("<NextContinuationToken>{token}</NextContinuationToken>");
    let truncated = "<IsTruncated>true</IsTruncated>";
    // Some stores leave IsTruncated out.
    let first = page(format!("{}{}", contents("a"), next("1")));
    let last = page(contents("b&amp;c"));
    assert_eq!(listed(&target, [first, last]).await.unwrap(), ["a", "b&c"]);
    let first = page(format!("{truncated}{}{}", contents("a"), next("1")));
    let last = page(format!("<IsTruncated>false</IsTruncated>{}", contents("b")));
    assert_eq!(listed(&target, [first, last]).await.unwrap(), ["a", "b"]);
    // Empty keys and tokens are none.
    assert_eq!(
        listed(&target, [page(String::new()), page(String::new())]).await.unwrap(),
        Vec::<String>::new()
    );

    let no_token = page(format!("{truncated}{}", contents("a")));
    let round = page(format!("{truncated}{}{}", contents("a"), next("1")));
    let html = "<html><body>Welcome</body></html>";
    let cut = "<ListBucketResult><Contents><Key>a</Key>";
    for pages in [[no_token; 2], [round; 2], [html; 2], [cut; 2], [""; 2]] {
        let error = listed(&target, pages).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageUnreachable, "{}: {error}", pages[0]);
    }
}

#[tokio::test]
async fn a_folder_of_more_than_a_page_is_seen_and_deleted_whole() {
    let target = bucket().await;
    let (store, client) = (store(&target), client(&target));
    back_up(&store, &[], &[("t", noise(1, 100))]).await.unwrap();
    for number in 0..1001 {
        client.put(&format!("dumps/{LOCATION}/dead/seg-{number:05}.zst"), b"x").await.unwrap();
    }
    assert_eq!(client.list(&format!("dumps/{LOCATION}/")).await.unwrap().len(), 1003);
    store.delete(LOCATION).await.unwrap();
    assert_eq!(keys_and_no_uploads(&target).await, Vec::<String>::new());
}

#[tokio::test]
async fn to_complete_an_upload_may_take_longer_than_any_other_request() {
    let target = bucket().await;
    let (go, going) = watch::channel(false);
    let (_kept, never) = watch::channel(false);
    let (begun, mut beginning) = watch::channel(false);
    let (proxied, _log) = through(&target, move |asked| {
        if asked.is_complete() {
            begun.send_replace(true);
            return Fate::Hold(going.clone());
        }
        if asked.path.ends_with("/never") { Fate::Hold(never.clone()) } else { Fate::Pass }
    })
    .await;
    let brief = Patience { total: Duration::ZERO, answer: Duration::from_secs(3), ..HASTY };
    let store = Store::with(proxied.clone(), brief, SMALL).unwrap();
    let upload = store.begin(LOCATION, None, &[]).await.unwrap();
    let content = noise(1, 6 << 20);
    let other = async {
        beginning.wait_for(|begun| *begun).await.unwrap();
        // A request that began after it is given up, and it is not.
        let held = Client::new(proxied.clone(), brief).unwrap().get("never", 1).await;
        go.send_replace(true);
        held
    };
    let both = async { tokio::join!(write(&upload, "t", &content), other) };
    let (written, held) = timeout(Duration::from_mins(1), both).await.expect("it is completed, or given up");
    assert!(held.unwrap_err().to_string().contains("no answer in time"));
    written.unwrap();
}
