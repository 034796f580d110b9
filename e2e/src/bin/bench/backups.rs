//! A backup of a gigabyte, and a restore, beside the tools that people use.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use api::{Backup, BackupPhase, Database, DeletionPolicy};
use e2e::{Bucket, Context, DatabaseFixture, database, ready, until};
use serde_json::json;

use crate::cgroup::{Cost, Watched};
use crate::pod::{ServerPod, Took, since};
use crate::rows;
use crate::table::{Samples, Table};

/// How often each way is measured, one after the other, every second round in the reverse order.
const ROUNDS: usize = 5;

/// How long one may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// How many cores share the work.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 cores")]
fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

/// A way to get a database into the bucket.
struct Way {
    name: &'static str,
    /// What a person runs beside the server; a Backup has none.
    script: Option<String>,
    wall: Samples,
    cpu: Samples,
}

impl Way {
    fn new(name: &'static str, script: Option<String>) -> Self {
        Self { name, script, wall: Samples::default(), cpu: Samples::default() }
    }
}

/// Measures both.
pub(crate) async fn measure(context: &Context) -> Result<Table> {
    let mut table = Table::default();
    let bucket = Bucket::make(context).await?;
    let pod = ServerPod::prepare(context, &bucket.endpoint()).await?;
    println!("==> filling a database with a gigabyte of a shop's rows");
    let policy = DeletionPolicy::Delete;
    context.create_ready(&database("shop").backup_to(&bucket).deletion_policy(policy)).await?;
    rows::shop(context, "shop").await?;
    let name = name_of(context, "shop").await?;
    let (_, size) = pod
        .run(&format!("psql -qtAX -d {name} -c 'SELECT pg_database_size(current_database()) / 1000000'"))
        .await?;
    table.figure("the database", &format!("{size} MB on disk"), "");
    backups(context, &bucket, &pod, &name, &mut table).await?;
    restores(context, &pod, &name, &mut table).await?;
    Ok(table)
}

async fn backups(
    context: &Context,
    bucket: &Bucket,
    pod: &ServerPod,
    name: &str,
    table: &mut Table,
) -> Result<()> {
    let target = format!("s3://{}/peer", bucket.name());
    let (dump, upload) = (format!("pg_dump -d {name}"), format!("s5cmd pipe {target}"));
    let mut ways = [
        Way::new("Backup, apply to Completed", None),
        Way::new("pg_dump -Fc | upload", Some(format!("{dump} -Fc | {upload}"))),
        Way::new("pg_dump -Fc -Z zstd:3 | upload", Some(format!("{dump} -Fc -Z zstd:3 | {upload}"))),
        Way::new("pg_dump | zstd -3 -T0 | upload", Some(format!("{dump} | zstd -q -3 -T0 | {upload}"))),
    ];
    let mut floor = Floor::prepare(pod, name, &target).await?;
    println!("==> {ROUNDS} rounds, interleaved: a Backup, three other ways, the floor");
    let mut worst = Cost::default();
    for round in 0..ROUNDS {
        for way in &mut ways {
            let took = if let Some(script) = &way.script {
                pod.run(script).await?.0
            } else {
                let (took, cost) = ours(context, pod, "shop", &format!("round-{round}")).await?;
                worst.memory = worst.memory.max(cost.memory);
                worst.written = worst.written.max(cost.written);
                took
            };
            way.wall.add(took.wall);
            way.cpu.add(took.cpu);
        }
        floor.measure(pod).await?;
        ways.reverse();
    }
    ways.sort_by_key(|way| way.script.is_some());
    let is_ours = |way: &&Way| way.script.is_none();
    let ours = ways.iter().find(is_ours).map_or(f64::NAN, |way| way.wall.p50());
    for way in &ways {
        table.row(way.name, &way.wall, &format!("{:.1} CPU s", way.cpu.p50()));
        if way.script.is_some() {
            let goal = if way.name == "pg_dump -Fc | upload" { "goal 3.5 or more" } else { "" };
            table.figure(
                &format!("{}, against ours", way.name),
                &format!("{:.2} x", way.wall.p50() / ours),
                goal,
            );
        }
    }
    floor.tell(ours, table);
    table.figure("Backup: peak memory of the pod", &mebibytes(worst.memory), "goal 96 MiB or less");
    table.figure("Backup: written to disk by the pod", &format!("{} bytes", worst.written), "goal 0");
    Ok(())
}

/// A Backup of a Database. The CPU seconds are those of server, store and driver.
pub(crate) async fn ours(
    context: &Context,
    pod: &ServerPod,
    database: &str,
    name: &str,
) -> Result<(Took, Cost)> {
    let watched = Watched::begin(context, "backup").await?;
    let (begin, before) = (Instant::now(), pod.cpu());
    context.create_backup(name, database).await?;
    let done = |live: Option<&Backup>| live.and_then(Backup::phase) == Some(BackupPhase::Completed);
    until(&context.api::<Backup>(), name, PATIENCE, "Completed", done).await?;
    let wall = since(begin);
    let cost = watched.end();
    Ok((Took { wall, cpu: pod.cpu() - before + cost.cpu }, cost))
}

/// What no way can undercut: the CPU time of reading, compressing and hashing on all cores, or the time of reading
/// alone, or of uploading alone, whichever is longest. The CPU time of the upload and of the store is not in it.
struct Floor {
    copy: String,
    copy_cpu: Samples,
    copy_wall: Samples,
    zstd: Samples,
    hash: Samples,
    upload: Samples,
    store: String,
}

impl Floor {
    async fn prepare(pod: &ServerPod, name: &str, target: &str) -> Result<Self> {
        pod.run(&format!("pg_dump -d {name} -Fp -f plain.sql; zstd -q -3 -f plain.sql -o plain.zst")).await?;
        // Two sessions, as we have.
        let copy = format!(
            "psql -qX -d {name} -c 'COPY orders TO STDOUT' -c 'COPY customers TO STDOUT' >/dev/null & psql -qX -d {name} -c 'COPY events TO STDOUT' -c 'COPY order_lines TO STDOUT' >/dev/null; wait"
        );
        Ok(Self {
            copy,
            copy_cpu: Samples::default(),
            copy_wall: Samples::default(),
            zstd: Samples::default(),
            hash: Samples::default(),
            upload: Samples::default(),
            store: target.to_owned(),
        })
    }

    async fn measure(&mut self, pod: &ServerPod) -> Result<()> {
        let copied = pod.run(&self.copy).await?.0;
        self.copy_wall.add(copied.wall);
        self.copy_cpu.add(copied.cpu);
        self.zstd.add(pod.run("zstd -q -3 --single-thread -c plain.sql >/dev/null").await?.0.cpu);
        self.hash.add(pod.run("openssl dgst -sha256 plain.sql >/dev/null").await?.0.cpu);
        self.upload
            .add(pod.run(&format!("s5cmd --log error cp plain.zst {}-file", self.store)).await?.0.wall);
        Ok(())
    }

    fn tell(&self, ours: f64, table: &mut Table) {
        let cpu = (self.copy_cpu.p50() + self.zstd.p50() + self.hash.p50()) / cores();
        let floor = cpu.max(self.copy_wall.p50()).max(self.upload.p50());
        let parts = format!(
            "{floor:.3} s: (COPY {:.2} + zstd {:.2} + SHA-256 {:.2} CPU s) / {} cores; COPY {:.2} s; upload {:.2} s",
            self.copy_cpu.p50(),
            self.zstd.p50(),
            self.hash.p50(),
            cores(),
            self.copy_wall.p50(),
            self.upload.p50()
        );
        table.figure("the floor (without the CPU of upload and store)", &parts, "");
        table.figure("Backup, against the floor", &format!("{:.2} x", ours / floor), "goal 1.15 or less");
    }
}

async fn restores(context: &Context, pod: &ServerPod, name: &str, table: &mut Table) -> Result<()> {
    println!("==> {ROUNDS} rounds, interleaved: a Database from a Backup, pg_restore -j2 from a file");
    pod.run(&format!("pg_dump -Fc -d {name} -f shop.dump")).await?;
    let peer = "dropdb --if-exists --force peer; createdb peer; pg_restore -j2 --no-owner --no-privileges -d peer shop.dump";
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    let mut memory = 0;
    for round in 0..ROUNDS {
        let copy = format!("copy-{round}");
        if round % 2 == 0 {
            theirs.add(pod.run(peer).await?.0.wall);
        }
        let (wall, cost) = restore(context, &copy).await?;
        ours.add(wall);
        memory = memory.max(cost.memory);
        context.delete(&copy).await?;
        if round % 2 == 1 {
            theirs.add(pod.run(peer).await?.0.wall);
        }
        pod.run("dropdb --if-exists --force peer").await?;
    }
    table.row("Database from a Backup, apply to Ready", &ours, "");
    table.row("pg_restore -j2 from a file", &theirs, "");
    table.figure(
        "the first against the second",
        &format!("{:.2} x", ours.p50() / theirs.p50()),
        "goal 1.15 or less",
    );
    table.figure("restore: peak memory of the pod", &mebibytes(memory), "goal 96 MiB or less");
    Ok(())
}

async fn restore(context: &Context, copy: &str) -> Result<(f64, Cost)> {
    let watched = Watched::begin(context, "create").await?;
    let begin = Instant::now();
    context.create(&database(copy).restore_from(json!({"backup": "round-0"}))).await?;
    context.until(copy, PATIENCE, "Ready", ready).await?;
    Ok((since(begin), watched.end()))
}

async fn name_of(context: &Context, database: &str) -> Result<String> {
    let live: Database = context.api().get(database).await?;
    live.status.and_then(|status| status.database).context("it has no name on the server")
}

/// Bytes for people.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}
