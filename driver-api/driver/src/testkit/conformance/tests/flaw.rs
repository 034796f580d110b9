//! What can be wrong with an engine, and which rules catch it.

macro_rules! flaws {
    ($($(#[doc = $doc:literal])* $flaw:ident: [$($rule:ident),+],)*) => {
        /// One thing that is wrong with an engine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Flaw { $($(#[doc = $doc])* $flaw,)* }

        impl Flaw {
            /// Every flaw.
            pub(super) const ALL: &[Self] = &[$(Self::$flaw,)*];

            /// The rules that catch it.
            pub(super) fn caught_by(self) -> &'static [&'static str] {
                match self { $(Self::$flaw => &[$(stringify!($rule)),+],)* }
            }
        }
    };
}

flaws! {
    PresentTwiceFails: [present_twice_is_present_once],
    AbsentTwiceFails: [absent_twice_is_absent],
    LockOutTwiceFails: [lock_out_twice_is_locked_out],
    DumpTakesTheRows: [looks_and_dumps_twice_are_equal, what_is_loaded_is_what_was_dumped],
    PresentEmptiesTheDatabase: [no_row_is_lost],
    HalfMadeIsInTheWay: [present_survives_death_at_every_await],
    HalfDroppedIsForgotten: [
        absent_survives_death_at_every_await, what_a_dead_present_left_can_be_dropped, what_is_made_carries_the_mark
    ],
    LockOutTrustsItsFirstStep: [lock_out_survives_death_at_every_await],
    DeadDumpIsInTheWay: [a_dead_dump_leaves_nothing_behind],
    DeadLoadIsInTheWay: [a_dead_load_is_dropped_and_made_again],
    LockOutlivesItsSession: [the_lock_dies_with_its_run, the_lock_ends_with_its_session],
    CloseKeepsTheLock: [a_closed_session_leaves_its_lock_at_once],
    NoLock: [a_second_session_is_busy_at_once, two_runs_at_once_make_one_database],
    LockIsPerCluster: [a_second_session_is_busy_at_once],
    LockWaits: [a_second_session_is_busy_at_once],
    OneLockForAll: [another_database_is_not_locked],
    GoesOnWithoutItsLock: [a_session_without_its_lock_does_nothing],
    AdoptsDatabases: [a_foreign_database_is_left_alone],
    DropsDatabasesByName: [a_foreign_database_is_left_alone, what_carries_another_mark_is_left_alone],
    TakesLoginsOver: [a_foreign_login_is_left_alone],
    LocksForeignersOut: [a_foreign_login_is_left_alone, what_carries_another_mark_is_left_alone],
    IgnoresTheCluster: [what_carries_another_mark_is_left_alone],
    IgnoresTheUid: [what_carries_another_mark_is_left_alone],
    LeavesAHelper: [what_is_made_carries_the_mark, absent_twice_is_absent],
    DropsLoginsByPrefix: [neighbours_are_untouched],
    ObserveRepairs: [observe_changes_nothing],
    ObserveSeesNothing: [drift_is_seen_and_repaired, a_lock_out_is_seen_and_repaired, a_wrong_password_is_told],
    RepairsNothing: [drift_is_seen_and_repaired, a_lock_out_is_seen_and_repaired, present_lets_the_login_in_again],
    LookCompares: [a_look_says_only_what_is_there],
    CheckLoadEmptiesTheDatabase: [check_load_changes_nothing],
    NamesAreNotQuoted: [hostile_names_are_only_names],
    NamesAreCut: [hostile_names_are_only_names],
    PasswordsAreNotQuoted: [hostile_passwords_are_only_passwords],
    MarksAreNotQuoted: [hostile_marks_are_only_marks],
    LoginNeedsNoPassword: [the_login_works_with_its_password_only, hostile_passwords_are_only_passwords],
    WrongPasswordIsNotTold: [a_wrong_password_is_told],
    OldPasswordStays: [a_new_password_replaces_the_old],
    StandbyLogsIn: [the_standby_login_cannot_log_in],
    LoginGetsInEverywhere: [a_login_gets_into_its_own_database_only],
    BindingHasTheHost: [the_binding_says_what_is_the_engines_own],
    BindingHasTheAdministrator: [the_binding_says_what_is_the_engines_own],
    BindingChanges: [the_binding_is_the_same_each_time],
    LockOutKeepsSessions: [nobody_commits_after_a_lock_out, lock_out_survives_death_at_every_await],
    LockOutLetsNewSessionsIn: [nobody_commits_after_a_lock_out, lock_out_twice_is_locked_out],
    StaysLockedOut: [present_lets_the_login_in_again],
    SessionsKeepTheDatabase: [a_writer_does_not_keep_a_database],
    DumpLosesTheLastRow: [
        what_was_acknowledged_is_in_the_dump, what_is_loaded_is_what_was_dumped, every_stream_is_finished
    ],
    LoadTrimsRows: [what_is_loaded_is_what_was_dumped],
    NothingIsNoDump: [an_empty_database_comes_back],
    SnapshotIsTorn: [a_dump_is_of_one_moment],
    BrokenSinkIsFine: [a_sink_that_breaks_fails_the_dump],
    BrokenSinkIsInternal: [a_sink_that_breaks_fails_the_dump],
    StreamIsNotFinished: [every_stream_is_finished],
    DamageIsTheEnd: [a_damaged_source_is_refused],
    DamageIsInternal: [a_damaged_source_is_refused],
    RowsAreNotCounted: [rows_are_counted],
    NeverOccupied: [an_occupied_database_is_told],
    TakesAnyVersion: [a_dump_of_a_newer_server_is_unsupported],
    LeavesOutWhatIsHidden: [what_the_tenant_cannot_read_fails_the_dump],
    ClosedPortIsInternal: [a_closed_port_is_unreachable],
    UnknownHostIsInternal: [an_unknown_host_is_unreachable],
    WrongLoginIsUnreachable: [a_wrong_login_is_authentication_failed],
    WaitsForever: [silence_ends_in_time],
    Retries: [nothing_is_retried],
    IgnoresTls: [tls_is_as_strict_as_its_mode],
    CutIsInternal: [
        present_survives_a_cut_at_every_read, absent_survives_a_cut_at_every_read,
        a_dump_survives_a_cut_at_every_read, a_load_survives_a_cut_at_every_read
    ],
    CutIsSuccess: [
        present_survives_a_cut_at_every_read, absent_survives_a_cut_at_every_read,
        a_dump_survives_a_cut_at_every_read, a_load_survives_a_cut_at_every_read
    ],
    ErrorsNamePasswords: [no_error_names_a_secret],
    LogsPasswords: [nothing_logged_names_a_secret],
    SendsPasswordsInClear: [the_server_s_log_names_no_secret],
    Panics: [present_twice_is_present_once],
}
