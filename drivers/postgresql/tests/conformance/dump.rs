//! What is dumped and loaded is what was there.

use std::process::Command;
use std::time::Instant;

use db_operator_driver_postgresql::PostgresqlDriver;
use driver_api::dump::{Description, Occupancy, Source};
use driver_api::testkit::{MemoryDump, MemorySink};
use driver_api::{Driver, DriverError, ErrorKind, Presence};

use crate::harness::{Case, assert_error, before_the_next_look};

const EVERYTHING: &str = include_str!("everything.sql");

impl Case {
    /// A dump, or why there is none.
    pub(crate) async fn try_dump(&self, sink: &MemorySink) -> Result<MemoryDump, DriverError> {
        let mut session = self.session().await;
        let description = PostgresqlDriver.dump(&mut session, &self.target, sink).await?;
        // As it is stored.
        let description = serde_json::from_value(serde_json::to_value(description).unwrap()).unwrap();
        sink.complete(description)
    }

    pub(crate) async fn dump(&self) -> MemoryDump {
        self.try_dump(&MemorySink::default()).await.unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    pub(crate) async fn occupancy(&self, description: &Description) -> Result<Occupancy, DriverError> {
        let mut session = self.session().await;
        PostgresqlDriver.check_load(&mut session, &self.target, description).await
    }

    pub(crate) async fn try_load(&self, dump: &MemoryDump) -> Result<(), DriverError> {
        let mut session = self.session().await;
        PostgresqlDriver.load(&mut session, &self.target, dump).await
    }

    /// Makes the database, and loads the dump into it.
    pub(crate) async fn restore(&self, dump: &MemoryDump) {
        self.ensure_present().await;
        let occupancy = self.occupancy(dump.description()).await.unwrap();
        assert_eq!(occupancy, Occupancy::Empty);
        self.try_load(dump).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    /// All that is in the database as the server's own tool writes it, with the names of roles made equal.
    pub(crate) fn picture(&self) -> String {
        #[expect(clippy::disallowed_methods, reason = "a test gets its programs from the environment")]
        let programs = std::env::var("DB_OPERATOR_POSTGRESQL_PROGRAMS");
        let programs = programs.unwrap_or_else(|_| "/usr/lib/postgresql".to_owned());
        let server = self.server();
        let output = Command::new(format!("{programs}/{}/bin/pg_dump", server.version))
            .env("PGPASSWORD", &server.password)
            .args(["-h", &server.host, "-p", &server.port.to_string(), "-U", &server.user, self.name()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).replace(self.name(), "NAME");
        // The roles of a policy have no order.
        let text = text.replace("NAME_b, NAME_a", "NAME_a, NAME_b");
        let lines =
            text.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Who is in the database, but who asks.
    pub(crate) async fn sessions(&self) -> i64 {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
        let client = self.server().superuser("postgres").await;
        client.query_one(query, &[&self.name()]).await.unwrap().get(0)
    }

    pub(crate) async fn assert_no_session(&self) {
        let begin = Instant::now();
        while self.sessions().await != 0 {
            before_the_next_look(begin, "no session is left").await;
        }
    }

    /// Returns when that many sessions wait for a lock.
    pub(crate) async fn assert_waiting(&self, sessions: i64) {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
        let client = self.server().superuser("postgres").await;
        let begin = Instant::now();
        while client.query_one(query, &[&self.name()]).await.unwrap().get::<_, i64>(0) != sessions {
            before_the_next_look(begin, &format!("{sessions} sessions wait")).await;
        }
    }

    /// Makes one of everything.
    pub(crate) async fn fill_with_everything(&self) {
        let sql = self.fill(EVERYTHING);
        self.tenant().await.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
}

pub(crate) fn assert_same(source: &str, clone: &str) {
    let (source, clone): (Vec<_>, Vec<_>) = (source.lines().collect(), clone.lines().collect());
    for (at, (one, other)) in source.iter().zip(&clone).enumerate() {
        assert_eq!(one, other, "line {at} after:\n{}", source[at.saturating_sub(15)..at].join("\n"));
    }
    assert_eq!(source.len(), clone.len());
}

rules! {
    async fn a_database_with_everything_comes_back_whole(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        case.fill_with_everything().await;
        let dump = case.dump().await;
        let names: Vec<_> = dump.streams().iter().map(|stream| stream.info.name.clone()).collect();
        assert_eq!(names[0], "schema-before-data.sql");
        let last: Vec<_> = names[names.len() - 4..].iter().map(String::as_str).collect();
        assert_eq!(last, ["large-objects.sql", "sequences.sql", "schema-after-data.sql", "materialized-views.sql"]);
        assert!(names.contains(&"table we\"ird\\;--é'.T able;'".to_owned()), "{names:?}");
        let customers = dump.streams().iter().find(|stream| stream.info.name == "table public.customers").unwrap();
        assert_eq!(customers.rows, Some(504));
        assert!(customers.info.restore_with.starts_with("COPY \"public\".\"customers\" (\"id\","));
        let version = context.server.version.to_string();
        assert!(dump.description().server_version.starts_with(&version));
        assert!(dump.description().tool_version.starts_with(&format!("pg_dump {version}")), "{:?}", dump.description());
        clone.restore(&dump).await;
        assert_same(&case.picture(), &clone.picture());
        // The dump of the clone is the same dump, but for names.
        let again = clone.dump().await;
        let again: Vec<_> = again.streams().iter().map(|stream| (stream.info.name.clone(), stream.rows)).collect();
        for stream in dump.streams() {
            assert!(again.contains(&(stream.info.name.clone(), stream.rows)), "{:?}", stream.info);
        }
        clone.assert_complete().await;
        case.assert_complete().await;
        clone.assert_no_session().await;
        case.assert_no_session().await;
        // What is owned goes with the roles.
        clone.ensure_absent().await;
    }

    async fn an_empty_database_comes_back(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        clone.restore(&case.dump().await).await;
        assert_same(&case.picture(), &clone.picture());
        case.tenant().await.batch_execute("DROP SCHEMA public").await.unwrap();
        let third = context.case("third");
        third.restore(&case.dump().await).await;
        assert_same(&case.picture(), &third.picture());
    }

    async fn what_the_hash_of_an_enum_places_finds_its_place(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        let sql = "CREATE TYPE m AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'); \
            CREATE TABLE t (m m, i int) PARTITION BY HASH (m); \
            CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 0); \
            CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 1); \
            CREATE TABLE t2 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 2); \
            INSERT INTO t SELECT e, i FROM unnest(enum_range(NULL::m)) e, generate_series(1, 10) i";
        case.tenant().await.batch_execute(sql).await.unwrap();
        clone.restore(&case.dump().await).await;
        let sum = "SELECT count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY m, i)) FROM t";
        assert_eq!(clone.server().text(clone.name(), sum).await, case.server().text(case.name(), sum).await);
    }

    async fn settings_of_the_tenant_do_not_change_what_is_dumped(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        let sql = "CREATE TABLE t AS SELECT '2024-03-04'::date AS d, interval '1 year -2 days' AS i, 1.0::float8 / 3 AS f, \
            '\\x00ff'::bytea AS b, 12.34::money AS m, 'a\\b' AS s";
        case.tenant().await.batch_execute(sql).await.unwrap();
        for setting in ["datestyle = 'SQL, DMY'", "intervalstyle = iso_8601", "extra_float_digits = -10", "bytea_output = escape",
                        "statement_timeout = 1", "default_transaction_read_only = on", "search_path = evil", "lc_monetary = 'C'",
                        "standard_conforming_strings = off", "quote_all_identifiers = on", "row_security = on",
                        "idle_in_transaction_session_timeout = 1", "idle_session_timeout = 1"] {
            case.run("postgres", &format!("ALTER DATABASE {{db}} SET {setting}")).await;
        }
        let dump = case.dump().await;
        clone.ensure_present().await;
        for setting in ["datestyle = 'SQL, DMY'", "intervalstyle = iso_8601", "statement_timeout = 1", "search_path = evil",
                        "default_transaction_read_only = on", "standard_conforming_strings = off"] {
            clone.run("postgres", &format!("ALTER DATABASE {{db}} SET {setting}; ALTER ROLE {{b}} SET {setting}")).await;
        }
        clone.try_load(&dump).await.unwrap();
        for case in [&case, &clone] {
            case.run("postgres", "ALTER DATABASE {db} RESET ALL").await;
        }
        let all = "SELECT t::text FROM public.t";
        assert_eq!(clone.server().text(clone.name(), all).await, case.server().text(case.name(), all).await);
    }

    async fn a_dump_does_not_go_into_what_is_occupied_or_older(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let dump = case.dump().await;
        for (made, gone) in [("CREATE TABLE \"T t\" (i int)", "DROP TABLE \"T t\""),
                     ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f"),
                     ("CREATE TYPE e AS ENUM ()", "DROP TYPE e"), ("CREATE TYPE c AS (i int)", "DROP TYPE c"),
                     ("CREATE DOMAIN d AS int", "DROP DOMAIN d"), ("CREATE SEQUENCE s", "DROP SEQUENCE s"),
                     ("CREATE VIEW v AS SELECT 1", "DROP VIEW v"), ("SELECT lo_create(77)", "SELECT lo_unlink(77)")] {
            let tenant = case.tenant().await;
            tenant.batch_execute(made).await.unwrap();
            let occupancy = case.occupancy(dump.description()).await.unwrap();
            assert!(matches!(&occupancy, Occupancy::Occupied { what } if !what.contains("more")), "{made}: {occupancy:?}");
            tenant.batch_execute(gone).await.unwrap();
        }
        case.tenant().await.batch_execute("CREATE EXTENSION hstore; CREATE SCHEMA s").await.unwrap();
        assert_eq!(case.occupancy(dump.description()).await.unwrap(), Occupancy::Empty);
        case.tenant().await.batch_execute("CREATE TABLE b (); CREATE TABLE a (); CREATE SEQUENCE s").await.unwrap();
        let Occupancy::Occupied { what } = case.occupancy(dump.description()).await.unwrap() else { panic!() };
        assert_eq!(what, "table public.a and 2 more");
        let mut newer = dump.description().clone();
        newer.server_version = "99.1".to_owned();
        assert_error(&case.occupancy(&newer).await.unwrap_err(), ErrorKind::Unsupported, &["99.1", "not older"]);
    }

    async fn a_role_of_neither_database_is_asked_for_before_anything_is_given_up(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        let others = ["reader", "policy", "defaults", "large", "maker"].map(|what| format!("{}_{what}", case.name()));
        let [reader, policy, defaults, large, maker] = &others;
        for role in &others {
            case.run("postgres", &format!("CREATE ROLE \"{role}\"")).await;
        }
        case.tenant().await.batch_execute(&format!("CREATE TABLE t (i int); INSERT INTO t VALUES (1); \
            GRANT SELECT ON t TO \"{reader}\"; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO \"{policy}\" USING (true); \
            ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO \"{defaults}\"; \
            SELECT lo_create(7); GRANT SELECT ON LARGE OBJECT 7 TO \"{large}\"")).await.unwrap();
        case.run(case.name(), &format!("ALTER DEFAULT PRIVILEGES FOR ROLE \"{maker}\" GRANT SELECT ON TABLES TO {{rw}}")).await;
        let dump = case.dump().await;
        // While they are there, the dump is loaded.
        clone.restore(&dump).await;
        clone.ensure_absent().await;
        case.ensure_absent().await;
        clone.ensure_present().await;
        for role in [maker, reader, policy, defaults, large] {
            case.run("postgres", &format!("DROP ROLE \"{role}\"")).await;
            let found = clone.occupancy(dump.description()).await;
            if role == maker {
                assert_eq!(found.unwrap(), Occupancy::Empty, "what others make is not the tenant's");
            } else {
                assert_error(&found.unwrap_err(), ErrorKind::Unsupported, &[role, "CREATE ROLE", "retry"]);
                case.run("postgres", &format!("CREATE ROLE \"{role}\"")).await;
            }
        }
        // To exist is enough.
        clone.try_load(&dump).await.unwrap_or_else(|error| panic!("{}", error.chain()));
        clone.ensure_absent().await;
        for role in [reader, policy, defaults, large] {
            case.run("postgres", &format!("DROP ROLE \"{role}\"")).await;
        }
    }

    async fn rows_that_an_extension_keeps_for_the_tenant_are_content(context) {
        let case = context.case("orders");
        case.ensure_present().await;
        let dump = case.dump().await;
        case.tenant().await.batch_execute("CREATE EXTENSION hstore; CREATE TABLE kept (i int); CREATE TABLE whole (i int)").await.unwrap();
        // As its script would have it: the rows from 10 on are the tenant's, and of the other table all.
        case.run(case.name(), "ALTER EXTENSION hstore ADD TABLE kept;\nALTER EXTENSION hstore ADD TABLE whole;\n\
            UPDATE pg_extension SET extconfig = ARRAY['kept'::regclass::oid, 'whole'::regclass::oid], \
              extcondition = ARRAY['WHERE i >= 10', ''] WHERE extname = 'hstore'").await;
        case.tenant().await.batch_execute("INSERT INTO kept VALUES (1)").await.unwrap();
        assert_eq!(case.occupancy(dump.description()).await.unwrap(), Occupancy::Empty, "the row is the extension's own");
        for table in ["kept", "whole"] {
            case.tenant().await.batch_execute(&format!("INSERT INTO {table} VALUES (10)")).await.unwrap();
            let Occupancy::Occupied { what } = case.occupancy(dump.description()).await.unwrap() else { panic!() };
            assert_eq!(what, format!("rows in table public.{table} of an extension"));
            case.tenant().await.batch_execute(&format!("DELETE FROM {table} WHERE i = 10")).await.unwrap();
        }
        let condition = |text: &str| format!("UPDATE pg_extension SET extcondition[1] = '{text}' WHERE extname = 'hstore'");
        case.run(case.name(), &condition("WHERE 1 / (i - 1) > 0")).await;
        let error = case.occupancy(dump.description()).await.expect_err("a look that fails says nothing of what is there");
        assert!(error.chain().contains("public.kept"), "{}", error.chain());
        case.run(case.name(), &condition("WHERE i >= 10")).await;
        case.run(case.name(), &format!("REVOKE ALL ON kept FROM \"{}_rw\"", case.name())).await;
        let Occupancy::Occupied { what } = case.occupancy(dump.description()).await.unwrap() else { panic!() };
        for named in ["public.kept", "permission denied", "group role"] {
            assert!(what.contains(named), "{what}");
        }
        case.assert_no_session().await;
    }

    /// The code runs with no more than the tenant's rights, whatever it resets.
    async fn the_code_of_a_dump_does_not_become_the_administrator(context) {
        let (case, clone) = (context.case("orders"), context.case("the_clone"));
        case.ensure_present().await;
        let sql = "CREATE FUNCTION evil() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
              EXECUTE 'RESET ROLE'; EXECUTE 'RESET SESSION AUTHORIZATION'; RETURN session_user || ' ' || current_user; END $$; \
            CREATE TABLE t (i int, who text GENERATED ALWAYS AS (NULL) STORED, CHECK (i > 0)); \
            CREATE TABLE seen (who text); \
            CREATE FUNCTION watch(i int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN \
              INSERT INTO public.seen VALUES (public.evil()); RETURN true; END $$; \
            ALTER TABLE t ADD CHECK (watch(i)); INSERT INTO t VALUES (1); TRUNCATE seen";
        case.tenant().await.batch_execute(sql).await.unwrap();
        clone.restore(&case.dump().await).await;
        let seen = clone.server().text(clone.name(), "SELECT string_agg(DISTINCT who, ',') FROM public.seen").await;
        let standby = &clone.target.standby_login;
        assert_eq!(seen, Some(format!("{standby} {}_rw", clone.name())));
        let mut session = clone.session().await;
        let presence = PostgresqlDriver.observe(&mut session, &clone.target, Some(&clone.desired)).await.unwrap();
        assert_eq!(presence, Presence::Ours { database: true, differences: vec![] });
    }
}
