//! What is loaded is what was dumped, and what went wrong in between is told.

use std::pin::pin;

use crate::dump::{Occupancy, Source as _};
use crate::error::ErrorKind;
use crate::testkit::conformance::case::{Kit, Outcome, ROWS, ensure, refused, same};
use crate::testkit::conformance::harness::{Ability, Harness};
use crate::testkit::conformance::source::{Damage, DamagedDump};
use crate::testkit::dump::MemorySink;
use crate::testkit::gate::GatedSink;

/// "Writes one consistent snapshot of the database to `sink`: all that the tenant has made": it comes back under another
/// name, and the source stays what it is.
pub async fn what_is_loaded_is_what_was_dumped<H: Harness>(kit: &Kit<H>) -> Outcome {
    let (case, clone, again) = (kit.case("a"), kit.case("the_clone"), kit.case("c"));
    case.present_and_filled().await?;
    let (content, picture) = (case.content().await?, case.picture().await?);
    same("rows", &case.rows().await?, &ROWS.map(str::to_owned).to_vec())?;
    let dump = case.dump().await?;
    clone.restore(&dump).await?;
    same("rows of the clone", &clone.rows().await?, &case.rows().await?)?;
    same("content of the clone", &clone.content().await?, &content)?;
    clone.is_complete().await?;
    again.restore(&clone.dump().await?).await?;
    same("content of the clone's clone", &again.content().await?, &content)?;
    same("content of the source", &case.content().await?, &content)?;
    case.is_unchanged("a dump", &picture).await?;
    // An application goes on in the clone.
    clone.commit(&["more"]).await?;
    clone.absent().await?;
    case.is_complete().await
}

/// "all that the tenant has made", if that is nothing.
pub async fn an_empty_database_comes_back<H: Harness>(kit: &Kit<H>) -> Outcome {
    let (case, clone) = (kit.case("a"), kit.case("b"));
    case.present().await?;
    clone.restore(&case.dump().await?).await?;
    same("content", &clone.content().await?, &case.content().await?)?;
    clone.is_complete().await
}

/// "and no row that was not committed when the snapshot was taken": of rows that are committed one after the other, the
/// dump has those up to one moment.
pub async fn a_dump_is_of_one_moment<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    case.commit(&["0", "1", "2"]).await?;
    let plain = case.dump().await?;
    for (number, stream) in plain.streams().iter().enumerate() {
        let gate = GatedSink::before(&stream.info.name);
        let dumping = case.dump_to(&gate);
        let mut dumping = pin!(dumping);
        tokio::select! {
            ended = &mut dumping => {
                ended?;
                return Err(format!("a second dump never opens {:?}", stream.info.name).into());
            }
            () = gate.is_reached() => {}
        }
        // Beside it, for a driver that writes them to several streams at once may wait for this one.
        let beside = async {
            let committed = case.commit(&["3", "4", "5"]).await;
            gate.let_through();
            committed
        };
        let (description, committed) = tokio::join!(dumping, beside);
        committed?;
        let clone = kit.case(&format!("b{number}"));
        clone.restore(&gate.complete(description?)?).await?;
        let (rows, all) = (clone.rows().await?, case.rows().await?);
        let is_moment = rows.len() >= 3 && all.starts_with(&rows);
        ensure(is_moment, || format!("the dump has {rows:?} of {all:?}, which were never all there is"))?;
    }
    Ok(())
}

/// "The kind of error of a sink is the runtime's affair: a driver returns it as it is."
pub async fn a_sink_that_breaks_fails_the_dump<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present_and_filled().await?;
    let dump = case.dump().await?;
    let bytes: u64 = dump.streams().iter().map(|stream| stream.bytes).sum();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    for room in [0, 1, bytes / 2, bytes.saturating_sub(1)] {
        let dumped = case.dump_to(&MemorySink::that_breaks_after(room)).await;
        let what = format!("a dump of {bytes} bytes into a store that breaks after {room}");
        refused(&what, dumped, &[ErrorKind::StorageUnreachable])?;
    }
    // And the next one is whole.
    case.dump().await.map(drop)
}

/// "One that is dropped without `finish` makes the whole dump fail": every stream is finished, with its
/// rows.
pub async fn every_stream_is_finished<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present_and_filled().await?;
    let dump = case.dump().await?;
    let rows: u64 = dump.streams().iter().filter_map(|stream| stream.rows).sum();
    let least = u64::try_from(ROWS.len()).unwrap_or(u64::MAX);
    ensure(rows >= least, || {
        format!("the dump says that it has {rows} rows, and there are {least} at least")
    })?;
    let named = dump.streams().iter().all(|it| !it.info.name.is_empty() && !it.info.restore_with.is_empty());
    ensure(named, || format!("a stream has no name, or nothing takes it: {:?}", dump.streams()))
}

/// "What is damaged is an error, at the latest in place of the end": the load returns it, and never takes it for the end.
pub async fn a_damaged_source_is_refused<H: Harness>(kit: &Kit<H>) -> Outcome {
    let (case, clone) = (kit.case("a"), kit.case("b"));
    case.present_and_filled().await?;
    let dump = case.dump().await?;
    let streams = dump.streams().iter().filter(|stream| stream.bytes > 0);
    for stream in streams.step_by(1 + dump.streams().len() / kit.harness.thorough().max(1)) {
        for damage in [Damage::BreaksOff, Damage::NoEnd, Damage::Gone] {
            clone.present().await?;
            let damaged = DamagedDump::new(&dump, &stream.info.name, damage);
            let what = format!("a load of {:?}, which is damaged ({damage:?})", stream.info.name);
            refused(&what, clone.load(&damaged).await, &[ErrorKind::BackupDamaged])?;
            clone.absent().await?;
        }
    }
    clone.restore(&dump).await
}

/// "It MUST count the rows that the server has accepted, and fail if they are not as many as the dump has."
pub async fn rows_are_counted<H: Harness>(kit: &Kit<H>) -> Outcome {
    let (case, clone) = (kit.case("a"), kit.case("b"));
    case.present_and_filled().await?;
    let dump = case.dump().await?;
    let with_rows: Vec<_> = dump.streams().iter().filter(|stream| stream.rows.is_some()).collect();
    ensure(!with_rows.is_empty(), || "no stream of the dump says how many rows it has".to_owned())?;
    for stream in with_rows.iter().step_by(1 + with_rows.len() / kit.harness.thorough().max(1)) {
        clone.present().await?;
        let damaged = DamagedDump::new(&dump, &stream.info.name, Damage::OneRowMore);
        let what = format!("a load of {:?}, which lacks a row", stream.info.name);
        refused(&what, clone.load(&damaged).await, &[ErrorKind::BackupDamaged])?;
        clone.absent().await?;
    }
    Ok(())
}

/// "Loads a dump into a database that is `Empty`": what somebody has made in it is named before.
pub async fn an_occupied_database_is_told<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    let empty = case.dump().await?;
    same("a new database", &case.check_load(empty.description()).await?, &Occupancy::Empty)?;
    case.commit(&["theirs"]).await?;
    let found = case.check_load(empty.description()).await?;
    let is_named = matches!(&found, Occupancy::Occupied { what } if !what.is_empty());
    ensure(is_named, || format!("a database with a row is {found:?}"))
}

/// "`Unsupported` if the server is older than the one that the dump is from"
pub async fn a_dump_of_a_newer_server_is_unsupported<H: Harness>(kit: &Kit<H>) -> Outcome {
    let case = kit.case("a");
    case.present().await?;
    let dump = case.dump().await?;
    let mut newer = dump.description().clone();
    "9999.1".clone_into(&mut newer.server_version);
    refused("a dump of server 9999.1", case.check_load(&newer).await, &[ErrorKind::Unsupported]).map(drop)
}

/// "It MUST read with the tenant's rights, and MUST fail rather than leave something out."
pub async fn what_the_tenant_cannot_read_fails_the_dump<H: Harness>(kit: &Kit<H>) -> Outcome {
    if !kit.is_able(Ability::Hide) {
        return Ok(());
    }
    let case = kit.case("a");
    case.present_and_filled().await?;
    kit.harness.hide(&case.target).await?;
    let dumped = case.dump_to(&MemorySink::default()).await;
    refused("a dump of what its tenant may not read", dumped, &[ErrorKind::InsufficientPrivilege]).map(drop)
}
