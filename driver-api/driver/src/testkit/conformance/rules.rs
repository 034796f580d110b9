//! The list of rules, as data, and a run of one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::timeout;

use crate::testkit::conformance::case::{Failure, Kit, Outcome};
use crate::testkit::conformance::harness::Harness;

/// A rule that every driver keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which is its test's.
    pub name: &'static str,
    /// Its group, which is its file.
    pub group: &'static str,
    /// The sentence of the contract that it shows, or a part of it by which the sentence is found.
    pub shows: &'static str,
}

/// What a run of one rule on one server found.
#[derive(Debug)]
pub struct Report {
    /// Whether the rule holds; if not, why.
    pub result: Outcome,
    /// What could not be shown here, and why not.
    pub not_shown: Vec<String>,
}

/// Makes one `#[test]` a rule for a [`Harness`]: `driver_api::testkit::conformance!(MyHarness);`.
///
/// The first form is the one for authors. The other hands the list to a macro, with what is in the brackets before it.
#[macro_export]
macro_rules! conformance {
    ($harness:ty) => {
        $crate::conformance! { @list $crate::__conformance_tests [$harness] }
    };
    (@list $callback:path [$($with:tt)*]) => {
        $callback! { [$($with)*]
            repetition {
                present_twice_is_present_once: "Every method MUST be idempotent",
                absent_twice_is_absent: "Every method MUST be idempotent",
                lock_out_twice_is_locked_out: "Every method MUST be idempotent",
                looks_and_dumps_twice_are_equal: "Every method MUST be idempotent",
                no_row_is_lost: "It MUST NOT lose a row",
            }
            death {
                present_survives_death_at_every_await: "the next run finishes what was begun",
                absent_survives_death_at_every_await: "the runtime repeats it after a crash at any point",
                what_a_dead_present_left_can_be_dropped: "A method MUST leave nothing that does not carry the mark",
                lock_out_survives_death_at_every_await: "the runtime repeats it after a crash at any point",
                a_dead_dump_leaves_nothing_behind: "the next run finishes what was begun",
                a_dead_load_is_dropped_and_made_again: "the runtime drops the database and makes it again",
                the_lock_dies_with_its_run: "MUST be free 60 seconds after its end at the latest",
            }
            exclusion {
                a_second_session_is_busy_at_once: "The lock MUST exclude every other session of this method",
                another_database_is_not_locked: "on one database",
                the_lock_ends_with_its_session: "MUST end with the session",
                a_closed_session_leaves_its_lock_at_once: "When it has returned, the lock MUST be free for the next session",
                a_session_without_its_lock_does_nothing: "MUST refuse what a session asks for whose lease is over",
                two_runs_at_once_make_one_database: "The lock MUST exclude every other session",
            }
            ownership {
                a_foreign_database_is_left_alone: "A method MUST NOT adopt, change or drop anything",
                a_foreign_login_is_left_alone: "A method MUST NOT adopt, change or drop anything",
                what_carries_another_mark_is_left_alone: "What carries none, or another one, is foreign",
                what_is_made_carries_the_mark: "A method MUST leave nothing that does not carry the mark",
                neighbours_are_untouched: "A method MUST NOT adopt, change or drop anything",
            }
            observation {
                observe_changes_nothing: "Says what is on the server. It MUST NOT change anything",
                drift_is_seen_and_repaired: "With `desired` it compares with all of it",
                a_lock_out_is_seen_and_repaired: "from any state that",
                a_look_says_only_what_is_there: "it says only whether anything of the database is there",
                check_load_changes_nothing: "can take a dump of `description`. It MUST NOT change anything",
            }
            hostile {
                hostile_names_are_only_names: "a driver MUST quote them",
                hostile_passwords_are_only_passwords: "a driver MUST quote them",
                hostile_marks_are_only_marks: "a driver MUST quote them",
            }
            login {
                the_login_works_with_its_password_only: "Makes the database and its logins as desired",
                a_wrong_password_is_told: "proves by logging in that the login works",
                a_new_password_replaces_the_old: "Makes the database and its logins as desired",
                the_standby_login_cannot_log_in: "It exists and cannot log in",
                a_login_gets_into_its_own_database_only: "Makes the database and its logins as desired",
                the_binding_says_what_is_the_engines_own: "these MUST NOT be among them",
                the_binding_is_the_same_each_time: "It MUST answer the same for the same arguments",
            }
            lockout {
                nobody_commits_after_a_lock_out: "nobody can commit anything in the database any more",
                what_was_acknowledged_is_in_the_dump: "all that the tenant has made",
                present_lets_the_login_in_again: "lets the login in again",
                a_writer_does_not_keep_a_database: "Locks the logins out, ends their sessions, drops the database",
            }
            content {
                what_is_loaded_is_what_was_dumped: "all that the tenant has made",
                an_empty_database_comes_back: "all that the tenant has made",
                a_dump_is_of_one_moment: "no row that was not committed when the snapshot was taken",
                a_sink_that_breaks_fails_the_dump: "The kind of error of a sink is the runtime's affair",
                every_stream_is_finished: "makes the whole dump fail",
                a_damaged_source_is_refused: "What is damaged is an error",
                rows_are_counted: "It MUST count the rows that the server has accepted, and fail if they are not as many as the dump has",
                an_occupied_database_is_told: "Loads a dump into a database that is `Empty`",
                a_dump_of_a_newer_server_is_unsupported: "`Unsupported` if the server is older",
                what_the_tenant_cannot_read_fails_the_dump: "It MUST read with the tenant's rights, and MUST fail rather than leave something out",
            }
            faults {
                a_closed_port_is_unreachable: "and `Unsupported` MUST be told apart",
                an_unknown_host_is_unreachable: "and `Unsupported` MUST be told apart",
                a_wrong_login_is_authentication_failed: "and `Unsupported` MUST be told apart",
                silence_ends_in_time: "A method MUST bound its own time (connecting: 10 seconds)",
                nothing_is_retried: "MUST NOT retry; the runtime does",
                tls_is_as_strict_as_its_mode: "and `Unsupported` MUST be told apart",
                present_survives_a_cut_at_every_read: "the runtime repeats it after a crash at any point",
                absent_survives_a_cut_at_every_read: "the runtime repeats it after a crash at any point",
                a_dump_survives_a_cut_at_every_read: "and MUST fail rather than leave something out",
                a_load_survives_a_cut_at_every_read: "and fail if they are not as many as the dump has",
            }
            secrets {
                no_error_names_a_secret: "It MUST NOT contain a secret",
                nothing_logged_names_a_secret: "No message, log line or statement may contain a secret",
                the_server_s_log_names_no_secret: "No message, log line or statement may contain a secret",
            }
        }
    };
}

/// A test of each rule.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ([$harness:ty] $($group:ident { $($rule:ident: $shows:literal,)* })*) => {$($(
        #[doc = concat!("\"", $shows, "\"")]
        #[test]
        fn $rule() {
            $crate::testkit::conformance::check::<$harness>(stringify!($rule));
        }
    )*)*};
}

/// The list, and the function of each rule.
macro_rules! table {
    ([] $($group:ident { $($rule:ident: $shows:literal,)* })*) => {
        /// Every rule, in the order in which they are to be read.
        pub const RULES: &[Rule] = &[$($(
            Rule { name: stringify!($rule), group: stringify!($group), shows: $shows },
        )*)*];

        async fn hold<H: Harness>(kit: &Kit<H>, rule: &str) -> Outcome {
            match rule {
                $($(stringify!($rule) => Box::pin(super::$group::$rule(kit)).await,)*)*
                _ => Err(Failure(format!("there is no rule {rule}"))),
            }
        }
    };
}

conformance! { @list table [] }

/// Runs one rule on one server, and removes what it made. A rule that panics or hangs does not hold.
pub fn run<H: Harness>(harness: &H, rule: &str) -> Report {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("k{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let kit = Kit::new(harness.clone(), format!("{prefix}_"));
    // As a driver's process has it: one thread.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Report { result: Err(error.to_string().into()), not_shown: Vec::new() },
    };
    let bound = harness.patience() * 40;
    let work = async { timeout(bound, hold(&kit, rule)).await };
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    runtime.block_on(harness.clean(&format!("{prefix}_")));
    let result = match result {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Failure(format!("it does not end in {bound:?}"))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Failure(format!("it panics: {}", text.unwrap_or_default())))
        }
    };
    Report { result, not_shown: kit.not_shown() }
}

/// Runs one rule on every server of the harness, at the same time; says what could not be shown.
///
/// # Panics
///
/// If the rule does not hold on one of them, or there is none.
#[allow(clippy::panic, clippy::print_stdout, reason = "it is the body of a test")]
pub fn check<H: Harness>(rule: &str) {
    let servers = H::servers();
    assert!(!servers.is_empty(), "{rule}: the harness has no server");
    let reports: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = servers.iter().map(|server| scope.spawn(move || run(server, rule))).collect();
        runs.into_iter().filter_map(|run| run.join().ok()).collect()
    });
    assert_eq!(reports.len(), servers.len(), "{rule}: a run is lost");
    let mut failures = Vec::new();
    for (server, report) in servers.iter().zip(reports) {
        for what in report.not_shown {
            println!("{rule} on {}: not shown: {what}", server.label());
        }
        failures.extend(report.result.err().map(|failure| format!("on {}: {failure}", server.label())));
    }
    assert!(failures.is_empty(), "{rule} does not hold\n{}", failures.join("\n"));
}
