//! What is pinned of every session's settings.

/// Settings that come with the startup packet, and so win over those of the database and of the role, which
/// a tenant may have made: with its own `search_path` it could have our session call its functions.
///
/// A session and its lock must not outlive this process. The server sees a closed connection once no statement
/// runs, and the statement timeout ends that one (long, since a drop waits for a checkpoint). Of a node that is
/// lost it sees nothing: there the keepalives end an idle session after a minute (by default it is two hours),
/// and `tcp_user_timeout`, which 12 brought, one whose answer nobody takes.
pub(crate) const OPTIONS: &str = "-c search_path=pg_catalog,pg_temp -c statement_timeout=240s -c lock_timeout=10s \
    -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off -c row_security=off \
    -c client_min_messages=warning -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 \
    -c tcp_keepalives_count=3 -c tcp_user_timeout=60000";

/// The same for sessions that move data. A statement may take as long as the data does, and a store or a disk
/// that is slow for minutes is no broken connection. What a value looks like as text depends on settings too.
const MOVING: &str = "-c search_path=pg_catalog,pg_temp -c statement_timeout=0 -c lock_timeout=10s \
    -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off -c row_security=off \
    -c client_min_messages=warning -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 \
    -c tcp_keepalives_count=3 -c tcp_user_timeout=900000 -c datestyle=ISO -c intervalstyle=postgres \
    -c extra_float_digits=1 -c bytea_output=hex -c xmloption=content -c lc_monetary=C \
    -c standard_conforming_strings=on -c check_function_bodies=off -c synchronize_seqscans=off \
    -c default_transaction_isolation=read\\ committed -c default_transaction_deferrable=off";

/// [`MOVING`] for a server of that major version, with what earlier ones would refuse.
pub(crate) fn moving(server_major: i32) -> String {
    let mut options = MOVING.to_owned();
    for (since, option) in [(14, " -c idle_session_timeout=0"), (17, " -c transaction_timeout=0")] {
        if server_major >= since {
            options.push_str(option);
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_gets_a_setting_that_it_does_not_know() {
        assert_eq!(moving(13), MOVING);
        assert!(
            moving(14).contains("idle_session_timeout=0") && !moving(16).contains("transaction_timeout=0 ")
        );
        assert!(moving(18).ends_with("-c idle_session_timeout=0 -c transaction_timeout=0"));
    }
}
