//! A control group that holds a process to the chart's limits, as the kubelet makes one for a container.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::defaults::Defaults;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";

/// The microseconds in which the CPU time is counted that may be used; the kubelet's.
const PERIOD: u32 = 100_000;

/// How often, and how long apart, it is tried to remove one: a process that was killed is in it for a moment.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// The control group. It goes with this value, and its processes should have ended then.
pub(crate) struct Cage {
    /// Its folder, or one a hierarchy with version 1. The first counts the memory.
    folders: Vec<PathBuf>,
}

impl Cage {
    /// Makes one.
    pub(crate) fn make(name: &str, limits: &Defaults) -> Result<Self> {
        let name = format!("db-operator-bench-{}-{name}", std::process::id());
        let unified = Path::new(ROOT).join("cgroup.controllers").exists();
        let cage = if unified { Self::version_2(&name, limits) } else { Self::version_1(&name, limits) };
        cage.with_context(|| format!("cannot make a control group under {ROOT}"))
    }

    fn version_2(name: &str, limits: &Defaults) -> Result<Self> {
        let root = Path::new(ROOT);
        for controller in ["+memory", "+cpu"] {
            write(&root.join("cgroup.subtree_control"), controller)?;
        }
        let folder = root.join(name);
        let cage = Self::of([folder.clone()])?;
        write(&folder.join("memory.max"), &limits.memory.to_string())?;
        without_swap(&folder.join("memory.swap.max"), "0")?;
        if let Some(cores) = limits.cpu {
            write(&folder.join("cpu.max"), &format!("{:.0} {PERIOD}", cores * f64::from(PERIOD)))?;
        }
        Ok(cage)
    }

    fn version_1(name: &str, limits: &Defaults) -> Result<Self> {
        let in_hierarchy = |hierarchy: &str| Path::new(ROOT).join(hierarchy).join(name);
        let memory = in_hierarchy("memory");
        let cpu = limits.cpu.map(|cores| (cores, in_hierarchy("cpu")));
        let cage =
            Self::of([memory.clone()].into_iter().chain(cpu.iter().map(|(_, folder)| folder.clone())))?;
        write(&memory.join("memory.limit_in_bytes"), &limits.memory.to_string())?;
        without_swap(&memory.join("memory.memsw.limit_in_bytes"), &limits.memory.to_string())?;
        if let Some((cores, folder)) = cpu {
            write(&folder.join("cpu.cfs_period_us"), &PERIOD.to_string())?;
            write(&folder.join("cpu.cfs_quota_us"), &format!("{:.0}", cores * f64::from(PERIOD)))?;
        }
        Ok(cage)
    }

    fn of(folders: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let mut cage = Self { folders: Vec::new() };
        for folder in folders {
            std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            cage.folders.push(folder);
        }
        Ok(cage)
    }

    /// A process that writes its id into each of these files is in it.
    pub(crate) fn doors(&self) -> impl Iterator<Item = PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs"))
    }

    /// Whether the kernel has ended a process in it for want of memory.
    pub(crate) fn was_too_small(&self) -> bool {
        let files = ["memory.events", "memory.oom_control"];
        let texts = self.folders.iter().flat_map(|folder| files.map(|file| folder.join(file)));
        let texts: Vec<_> = texts.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let mut lines = texts.iter().flat_map(|text| text.lines());
        lines.any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        for folder in &self.folders {
            for _ in 0..TRIES {
                if std::fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// As Kubernetes has it. Kernels that count no swap have no such file.
fn without_swap(file: &Path, value: &str) -> Result<()> {
    if file.exists() { write(file, value) } else { Ok(()) }
}

fn write(file: &Path, value: &str) -> Result<()> {
    std::fs::write(file, value).with_context(|| format!("cannot write {value:?} into {}", file.display()))
}
