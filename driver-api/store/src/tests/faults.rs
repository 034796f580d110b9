//! Stores and networks that fail.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::proxy::{Asked, Fate, Log, through};
use super::*;
use driver::error::ErrorKind;

const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>please</Message></Error>";

/// Makes a backup of a long and a short stream by a way on which `rule` decides, and looks at it directly.
async fn survives(rule: impl FnMut(&Asked) -> Fate + Send + 'static) -> Log {
    let target = bucket().await;
    let (proxied, log) = through(&target, rule).await;
    let streams = [("long", noise(1, 13 << 20)), ("short", noise(2, 1000))];
    // Only a test that waits for the end of the patience is hasty about that too.
    let patience = Patience { total: Duration::from_secs(30), ..HASTY };
    let patient = Store::with(proxied, patience, SMALL).unwrap();
    let manifest = back_up(&patient, &[], &streams).await.unwrap();
    assert_eq!(keys_and_no_uploads(&target).await.len(), 5);
    let direct = store(&target);
    assert_eq!(direct.read_manifest(LOCATION).await.unwrap().unwrap().manifest, manifest);
    direct.verify(LOCATION, &manifest, None).await.unwrap();
    let faults = log.lock().unwrap().iter().filter(|(_, fate)| !matches!(fate, Fate::Pass)).count();
    assert!(faults > 0, "nothing went wrong");
    log
}

/// Applies `fate` to the first `times` requests that `matches`, and lets the others pass.
fn first(
    mut times: usize,
    matches: impl Fn(&Asked) -> bool + Send + 'static,
    fate: Fate,
) -> impl FnMut(&Asked) -> Fate + Send + 'static {
    move |asked| {
        if times > 0 && matches(asked) {
            times -= 1;
            return fate.clone();
        }
        Fate::Pass
    }
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_is_waited_for() {
    let mut since: Option<Instant> = None;
    survives(move |asked| {
        // For a while from the first part on, nothing works.
        if since.is_none() && !asked.is_part() {
            return Fate::Pass;
        }
        let since = since.get_or_insert_with(Instant::now);
        if since.elapsed() < Duration::from_millis(700) { Fate::Answer(503, SLOW_DOWN) } else { Fate::Pass }
    })
    .await;
}

/// With the patience that a run has.
#[tokio::test]
async fn a_minute_of_errors_is_waited_out() {
    let target = bucket().await;
    let mut since: Option<Instant> = None;
    let rule = move |asked: &Asked| {
        if since.is_none() && !asked.is_part() {
            return Fate::Pass;
        }
        let away = since.get_or_insert_with(Instant::now).elapsed() < Duration::from_mins(1);
        if away { Fate::Answer(503, SLOW_DOWN) } else { Fate::Pass }
    };
    let (proxied, log) = through(&target, rule).await;
    let patient = Store::with(proxied, Patience::MOVING, SMALL).unwrap();
    let manifest = back_up(&patient, &[], &[("long", noise(1, 13 << 20))]).await.unwrap();
    let refused = log.lock().unwrap().iter().filter(|(_, fate)| !matches!(fate, Fate::Pass)).count();
    assert!((4..100).contains(&refused), "{refused} requests in a minute");
    keys_and_no_uploads(&target).await;
    store(&target).verify(LOCATION, &manifest, None).await.unwrap();
}

#[tokio::test]
async fn every_request_may_fail_once() {
    let mut seen = std::collections::BTreeSet::new();
    survives(move |asked| {
        let what = (asked.method.clone(), asked.path.clone());
        let statuses = [500, 502, 503, 504, 429];
        let status = statuses[seen.len() % statuses.len()];
        if seen.insert(what) { Fate::Answer(status, "") } else { Fate::Pass }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_part_is_made_again() {
    survives(first(2, Asked::is_part, Fate::CutRequest(3_000_000))).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    survives(first(1, Asked::is_part, Fate::LoseAnswer)).await;
    survives(first(1, Asked::is_complete, Fate::LoseAnswer)).await;
    survives(first(1, Asked::is_manifest, Fate::LoseAnswer)).await;

    // Most stores forget an upload once it is complete.
    let mut completions = 0;
    survives(move |asked| {
        completions += usize::from(asked.is_complete());
        match (asked.is_complete(), completions) {
            (true, 1) => Fate::LoseAnswer,
            (true, 2) => Fate::Answer(404, "<Error><Code>NoSuchUpload</Code></Error>"),
            _ => Fate::Pass,
        }
    })
    .await;
}

#[tokio::test]
async fn an_error_in_an_answer_of_success_is_seen() {
    let passing =
        "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>again</Message></Error>";
    survives(first(2, Asked::is_complete, Fate::Answer(200, passing))).await;
    survives(first(1, Asked::is_complete, Fate::Answer(200, ""))).await;

    let target = bucket().await;
    let staying = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    let (proxied, _log) = through(&target, first(99, Asked::is_complete, Fate::Answer(200, staying))).await;
    let upload = store(&proxied).begin(LOCATION, None, &[]).await.unwrap();
    let error = write(&upload, "long", &noise(1, 12 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageDenied, "{error}");
    upload.complete(identity(), description()).await.unwrap_err();
    upload.abort().await.unwrap();
    assert_eq!(store(&target).read_manifest(LOCATION).await.unwrap(), None);
    keys_and_no_uploads(&target).await;
}

#[tokio::test]
async fn a_store_that_takes_no_more_is_no_backup_until_it_does() {
    let target = bucket().await;
    let full = "<Error><Code>XMinioStorageFull</Code><Message>no space left</Message></Error>";
    let (proxied, _log) = through(&target, first(usize::MAX, Asked::is_part, Fate::Answer(507, full))).await;
    let upload = store(&proxied).begin(LOCATION, None, &[]).await.unwrap();
    let error = write(&upload, "long", &noise(1, 12 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageUnreachable, "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    upload.complete(identity(), description()).await.unwrap_err();
    upload.abort().await.unwrap();
    assert!(keys_and_no_uploads(&target).await.is_empty());
    let again = back_up(&store(&target), &[], &[("long", noise(1, 12 << 20))]).await.unwrap();
    assert_eq!(store(&target).read_manifest(LOCATION).await.unwrap().unwrap().manifest, again);
}

#[tokio::test]
async fn a_store_without_conditional_writes_is_enough() {
    let unknown = "<Error><Code>NotImplemented</Code><Message>if-none-match?</Message></Error>";
    let conditional = |asked: &Asked| asked.headers.contains("if-none-match");
    let log = survives(first(1, conditional, Fate::Answer(501, unknown))).await;
    assert_eq!(log.lock().unwrap().iter().filter(|(asked, _)| asked.is_manifest()).count(), 2);
    survives(first(1, conditional, Fate::Answer(400, unknown))).await;
}

#[tokio::test]
async fn a_store_that_is_gone_for_good_is_given_up_in_time() {
    let target = bucket().await;
    let (proxied, log) =
        through(&target, first(usize::MAX, Asked::is_part, Fate::Answer(503, SLOW_DOWN))).await;
    let upload = store(&proxied).begin(LOCATION, None, &[]).await.unwrap();
    let content = noise(1, 30 << 20);
    let begin = Instant::now();
    let error = write(&upload, "long", &content).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageUnreachable, "{error}");
    assert!(error.to_string().contains("SlowDown: please"), "{error}");
    assert!((HASTY.total / 2..HASTY.total * 10).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert!(log.lock().unwrap().iter().filter(|(asked, _)| asked.is_part()).count() > 1, "it is repeated");
    upload.complete(identity(), description()).await.unwrap_err();
    upload.abort().await.unwrap();
    keys_and_no_uploads(&target).await;
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let target = bucket().await;
    let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    let (proxied, log) = through(&target, first(usize::MAX, Asked::is_part, Fate::Answer(403, denied))).await;
    let upload = store(&proxied).begin(LOCATION, None, &[]).await.unwrap();
    let error = write(&upload, "long", &noise(1, 12 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageDenied, "{error}");
    upload.abort().await.unwrap();
    assert_eq!(log.lock().unwrap().iter().filter(|(asked, _)| asked.is_part()).count(), 1);
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke() {
    let target = bucket().await;
    let content = noise(1, 13 << 20);
    let manifest = back_up(&store(&target), &[], &[("t", content.clone())]).await.unwrap();
    let mut ranges = 0;
    let (proxied, log) = through(&target, move |asked| {
        ranges += usize::from(asked.headers.contains("range: bytes"));
        if ranges % 2 == 1 { Fate::CutAnswer(1_000_000) } else { Fate::Pass }
    })
    .await;
    let download = store(&proxied).open(LOCATION, manifest.clone(), None).unwrap();
    assert!(read(&download, "t").await.unwrap() == content);
    assert!(log.lock().unwrap().iter().any(|(_, fate)| matches!(fate, Fate::CutAnswer(_))));

    let (proxied, _log) = through(&target, |_| Fate::CutAnswer(100_000)).await;
    let error = store(&proxied).verify(LOCATION, &manifest, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageUnreachable, "a broken way is not a broken backup: {error}");
}

#[tokio::test]
async fn a_writer_waits_for_a_slow_store() {
    let target = bucket().await;
    let (go, going) = watch::channel(false);
    let (proxied, _log) = through(&target, first(usize::MAX, Asked::is_part, Fate::Hold(going))).await;
    let upload = store(&proxied).begin(LOCATION, None, &[]).await.unwrap();
    let content = noise(1, 40 << 20);
    let progress = upload.progress();
    let mut writing = std::pin::pin!(write(&upload, "t", &content));
    let stopped = tokio::time::timeout(Duration::from_secs(3), writing.as_mut()).await;
    assert!(stopped.is_err(), "nothing made it wait");
    // Two parts, what waits for the encoder, and what it holds back.
    assert!(progress.plain_bytes() < 14 << 20, "{}", progress.plain_bytes());
    go.send_replace(true);
    writing.await.unwrap();
    let manifest = upload.complete(identity(), description()).await.unwrap().either().manifest;
    assert_eq!(manifest.totals.bytes, 40 << 20);
}
