//! What pods cost, as the kernel counts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Result;
use e2e::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::task::JoinHandle;

/// How often a pod that ends by itself is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// What a pod has cost so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// CPU time in seconds.
    pub(crate) cpu: f64,
    /// The most memory that it ever had, in bytes.
    pub(crate) memory: u64,
    /// What one of its processes gave to disks at most, in bytes. What runc writes before it becomes the first of
    /// them is in it, unless [`Watched`] has seen it.
    pub(crate) written: u64,
}

/// The cost of a pod; nothing where its cgroup is not on this machine, or gone.
pub(crate) fn cost(uid: &str) -> Cost {
    let nanoseconds = number(uid, "cpuacct.usage");
    let microseconds = || {
        let text = read(uid, "cpu.stat")?;
        text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok())
    };
    let cpu = nanoseconds.map(Duration::from_nanos).or_else(|| Some(Duration::from_micros(microseconds()?)));
    let memory = number(uid, "memory.max_usage_in_bytes").or_else(|| number(uid, "memory.peak"));
    Cost {
        cpu: cpu.unwrap_or_default().as_secs_f64(),
        memory: memory.unwrap_or_default(),
        written: folders(uid)
            .iter()
            .flat_map(|folder| processes(folder))
            .map(|process| written(&process))
            .max()
            .unwrap_or_default(),
    }
}

fn number(uid: &str, file: &str) -> Option<u64> {
    read(uid, file)?.trim().parse().ok()
}

fn read(uid: &str, file: &str) -> Option<String> {
    folders(uid).iter().find_map(|folder| std::fs::read_to_string(folder.join(file)).ok())
}

/// The pod's folders, one a hierarchy with version 1 of cgroups.
fn folders(uid: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let names = [format!("pod{uid}"), format!("pod{}.slice", uid.replace('-', "_"))];
    let mut level = vec![PathBuf::from("/sys/fs/cgroup")];
    // The deepest is hierarchy/cluster/kubepods/class/pod.
    for _ in 0..6 {
        let below = level.iter().flat_map(|folder| subfolders(folder));
        let (pods, others): (Vec<_>, Vec<_>) = below.partition(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            names.iter().any(|pod| name.ends_with(pod.as_str()))
        });
        found.extend(pods);
        level = others;
    }
    found
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn processes(pod: &Path) -> Vec<String> {
    let containers = subfolders(pod).into_iter().map(|container| container.join("cgroup.procs"));
    let texts = containers.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn written(process: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or_default()
}

/// The cost of the next pod that does an operation, looked at until it has ended.
pub(crate) struct Watched {
    cost: Arc<Mutex<Cost>>,
    task: JoinHandle<()>,
}

impl Watched {
    /// Begins to look for a pod that is not there yet.
    pub(crate) async fn begin(context: &Context, operation: &str) -> Result<Self> {
        let pods: Api<Pod> = context.api();
        let of_operation = ListParams::default().labels(&format!("db.isotoma.com/operation={operation}"));
        let uids = |pods: kube::api::ObjectList<Pod>| -> Vec<String> {
            pods.items.into_iter().filter_map(|pod| pod.metadata.uid).collect()
        };
        let before = uids(pods.list(&of_operation).await?);
        let seen: Arc<Mutex<Cost>> = Arc::default();
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut look = tokio::time::interval(INTERVAL);
            let uid = loop {
                look.tick().await;
                let Ok(found) = pods.list(&of_operation).await else { continue };
                if let Some(new) = uids(found).into_iter().find(|uid| !before.contains(uid)) {
                    break new;
                }
            };
            let mut by_runc = 0;
            loop {
                look.tick().await;
                let now = cost(&uid);
                let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
                // It has written before the driver begins, and does not afterwards.
                if by_runc == 0 {
                    by_runc = now.written;
                }
                seen.cpu = seen.cpu.max(now.cpu);
                seen.memory = seen.memory.max(now.memory);
                seen.written = seen.written.max(now.written.saturating_sub(by_runc));
            }
        });
        Ok(Self { cost: seen, task })
    }

    /// What was seen last.
    pub(crate) fn end(self) -> Cost {
        self.task.abort();
        *self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
