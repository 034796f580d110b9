//! Servers, names, and what every rule needs.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use db_operator_driver_postgresql::{Parameters, PostgresqlDriver, Session};
use driver_api::{
    Desired, Driver, DriverError, ErrorKind, Login, Mark, Presence, Secret, Server, ServerTls, Target,
    TlsMode, testkit,
};
use tokio_postgres::{Client, Config, NoTls};

const VARIABLE: &str = "DB_OPERATOR_TEST_POSTGRESQL";

/// How long a condition may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);

/// The password of every tenant in here.
pub(crate) const PASSWORD: &str = "it's \"correct\" horse\\battery";

/// Waits a little before somebody looks again who has looked since `begin`.
pub(crate) async fn before_the_next_look(begin: Instant, what: &str) {
    assert!(begin.elapsed() < PATIENCE, "it was never so: {what}");
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// A database server and its superuser.
#[derive(Clone, Debug)]
pub(crate) struct TestServer {
    pub(crate) version: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) ca: Option<String>,
    /// It speaks TLS.
    pub(crate) tls: bool,
}

fn parse(entry: &str) -> Option<TestServer> {
    let (version, rest) = entry.split_once('=')?;
    let mut parts = rest.splitn(5, ':').map(str::to_owned);
    let (host, port, user, password) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let ca =
        parts.next().map(|path| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")));
    let (version, port) = (version.parse().ok()?, port.parse().ok()?);
    Some(TestServer { version, host, port, user, password, ca, tls: false })
}

fn servers() -> &'static [TestServer] {
    static SERVERS: OnceLock<Vec<TestServer>> = OnceLock::new();
    SERVERS.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "a test gets its servers from the environment")]
        let list = std::env::var(VARIABLE).unwrap_or_default();
        let entries = list.split_whitespace().map(|entry| {
            parse(entry).unwrap_or_else(|| {
                panic!("{VARIABLE}: {entry} is not version=host:port:user:password[:ca-file]")
            })
        });
        let mut servers: Vec<_> = entries.collect();
        assert!(
            !servers.is_empty(),
            "{VARIABLE} must list the servers to test, as version=host:port:user:password[:ca-file]"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for server in &mut servers {
            server.tls = runtime.block_on(has_tls(server));
        }
        servers
    })
}

async fn has_tls(server: &TestServer) -> bool {
    let admin = server.admin(ServerTls::new(TlsMode::Require, None));
    let target = Target::new("probe_of_tls", Mark::new("c", "u"), 63);
    match PostgresqlDriver.connect(&admin, &target).await.map_err(|error| error.kind()) {
        // Another test process may hold that lock; it got in, and that is what is asked.
        Ok(_) | Err(ErrorKind::Busy) => true,
        Err(ErrorKind::TlsRefused) => false,
        Err(other) => panic!("PostgreSQL {} at {}:{}: {other:?}", server.version, server.host, server.port),
    }
}

impl TestServer {
    /// The administrator's login, by which the driver works.
    pub(crate) fn admin(&self, tls: ServerTls) -> Server {
        Server::new(&self.host, self.port, tls, Login::new(&self.user, Secret::new(&self.password)))
    }

    /// The strictest mode that an address without a name in the certificate allows.
    pub(crate) fn tls(&self) -> ServerTls {
        match (&self.ca, self.tls) {
            (_, false) => ServerTls::new(TlsMode::Disable, None),
            (None, true) => ServerTls::new(TlsMode::Require, None),
            (Some(ca), true) => ServerTls::new(TlsMode::VerifyCa, Some(ca.clone())),
        }
    }

    /// A session beside the driver.
    pub(crate) async fn log_in(
        &self,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        self.log_in_with(user, password, database, "").await
    }

    async fn log_in_with(
        &self,
        user: &str,
        password: &str,
        database: &str,
        options: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.options(options);
        config.host(&self.host).port(self.port).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The superuser's session.
    pub(crate) async fn superuser(&self, database: &str) -> Client {
        // A rule may have made settings that break sessions.
        let options = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 \
            -c idle_in_transaction_session_timeout=0 -c search_path=public";
        let client = self.log_in_with(&self.user, &self.password, database, options).await;
        client.expect("the superuser logs in")
    }

    /// Runs statements as the superuser.
    pub(crate) async fn run(&self, database: &str, sql: &str) {
        let client = self.superuser(database).await;
        for statement in sql.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            client.batch_execute(statement).await.unwrap_or_else(|error| {
                panic!("{statement}: {}", error.as_db_error().map_or("?", |error| error.message()))
            });
        }
    }

    /// One text from the superuser's view.
    pub(crate) async fn text(&self, database: &str, query: &str) -> Option<String> {
        let client = self.superuser(database).await;
        let rows = client.query(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        rows.first().and_then(|row| row.get(0))
    }
}

/// One rule on one server.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) server: Arc<TestServer>,
    /// Every name that the rule uses begins with it.
    pub(crate) prefix: String,
}

type Rule = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a rule for every server, at the same time, and removes what it made.
pub(crate) fn for_each_server(name: &str, rule: impl Fn(Context) -> Rule) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runs: Vec<_> = servers()
        .iter()
        .map(|server| {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let context = Context {
                server: Arc::new(server.clone()),
                prefix: format!("t{}_{count}", std::process::id()),
            };
            let run = runtime.spawn(rule(context.clone()));
            (context, run)
        })
        .collect();
    let failed: Vec<_> = runs
        .into_iter()
        .filter_map(|(context, run)| {
            let failed = runtime.block_on(run).is_err();
            runtime.block_on(context.clean());
            failed.then(|| context.server.version.to_string())
        })
        .collect();
    assert!(failed.is_empty(), "{name} does not hold on PostgreSQL {}", failed.join(", "));
}

impl Context {
    /// A database of this rule, as the superuser makes it.
    pub(crate) fn case(&self, label: &str) -> Case {
        let name = format!("{}_{label}", self.prefix);
        let target = Target::new(&name, Mark::new("test-cluster", format!("uid-{name}")), 63);
        let login = Login::new(&target.active_login, Secret::new(PASSWORD));
        Case {
            context: self.clone(),
            admin: self.server.admin(self.server.tls()),
            target,
            desired: Desired::new(Parameters::default(), login),
        }
    }

    /// Removes what begins with the prefix, whatever state it is in.
    async fn clean(&self) {
        let server = &self.server;
        let like = format!("LIKE '{}\\_%'", self.prefix);
        let client = server.superuser("postgres").await;
        let list = async |query: String| -> Vec<String> {
            let rows = client.query(&query, &[]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        };
        for statement in [format!(
            "SELECT format('%L', gid) || '|' || database FROM pg_prepared_xacts WHERE database {like}"
        )] {
            for found in list(statement).await {
                let (gid, database) = found.split_once('|').unwrap();
                server.run(database, &format!("ROLLBACK PREPARED {gid}")).await;
            }
        }
        for database in
            list(format!("SELECT quote_ident(datname) FROM pg_database WHERE datname {like}")).await
        {
            let _ = client.batch_execute(&format!("ALTER DATABASE {database} IS_TEMPLATE false")).await;
            let dropped = client.batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
            dropped.unwrap_or_else(|error| println!("cleaning up {database}: {error:?}"));
        }
        for role in list(format!("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname {like}")).await {
            let _ = client.batch_execute(&format!("DROP OWNED BY {role} CASCADE")).await;
            let _ = client.batch_execute(&format!("DROP ROLE {role}")).await;
        }
    }
}

/// A database that the driver works on.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) context: Context,
    pub(crate) admin: Server,
    pub(crate) target: Target,
    pub(crate) desired: Desired<Parameters>,
}

impl Case {
    pub(crate) fn with_parameters(mut self, parameters: serde_json::Value) -> Self {
        self.desired.parameters = serde_json::from_value(parameters).unwrap();
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.target.name
    }

    pub(crate) fn server(&self) -> &TestServer {
        &self.context.server
    }

    pub(crate) async fn connect(&self) -> Result<Session, DriverError> {
        PostgresqlDriver.connect(&self.admin, &self.target).await
    }

    /// A session, once the one before has let go of the lock: the server needs a moment to notice.
    pub(crate) async fn session(&self) -> Session {
        let begin = Instant::now();
        loop {
            match self.connect().await {
                Ok(session) => return session,
                Err(error) if error.kind() == ErrorKind::Busy && begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(error) => panic!("{}", error.chain()),
            }
        }
    }

    pub(crate) async fn observe(&self) -> Presence {
        let mut session = self.session().await;
        PostgresqlDriver
            .observe(&mut session, &self.target, Some(&self.desired))
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    /// What differs; the database must be ours.
    pub(crate) async fn differences(&self) -> Vec<String> {
        let presence = self.observe().await;
        let Presence::Ours { database: true, differences } = presence else { panic!("{presence:?}") };
        differences
    }

    pub(crate) async fn assert_complete(&self) {
        assert_eq!(self.differences().await, Vec::<String>::new());
    }

    pub(crate) async fn assert_absent(&self) {
        let mut session = self.session().await;
        let presence = PostgresqlDriver.observe(&mut session, &self.target, None).await.unwrap();
        assert_eq!(presence, Presence::Absent);
    }

    pub(crate) async fn try_ensure_present(&self) -> Result<(), DriverError> {
        let mut session = self.session().await;
        PostgresqlDriver.ensure_present(&mut session, &self.target, &self.desired).await
    }

    pub(crate) async fn ensure_present(&self) {
        self.try_ensure_present().await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    pub(crate) async fn try_ensure_absent(&self) -> Result<(), DriverError> {
        let mut session = self.session().await;
        PostgresqlDriver.ensure_absent(&mut session, &self.target).await
    }

    pub(crate) async fn ensure_absent(&self) {
        self.try_ensure_absent().await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    /// The error of `ensure_present`, which must be of that kind and name these things.
    pub(crate) async fn assert_refused(&self, kind: ErrorKind, named: &[&str]) {
        let error = self.try_ensure_present().await.expect_err("ensure_present is refused");
        assert_error(&error, kind, named);
    }

    /// A session of the application.
    pub(crate) async fn tenant(&self) -> Client {
        let Login { username, password, .. } = &self.desired.login;
        let opened = self.server().log_in(username, password.expose(), self.name()).await;
        opened.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Runs statements as the superuser, with the names filled in, quoted: `{db}`, `{own}`, `{rw}`, `{a}`, `{b}`.
    pub(crate) async fn run(&self, database: &str, sql: &str) {
        self.server().run(database, &self.fill(sql)).await;
    }

    /// Fills the names in.
    pub(crate) fn fill(&self, sql: &str) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let name = self.name();
        sql.replace("{db}", &quoted(name))
            .replace("{own}", &quoted(&format!("{name}_own")))
            .replace("{rw}", &quoted(&format!("{name}_rw")))
            .replace("{a}", &quoted(&self.target.active_login))
            .replace("{b}", &quoted(&self.target.standby_login))
    }

    /// Every row of the shared catalogs that is about this database, with the transaction that wrote it: two
    /// that are equal mean that nothing was written in between.
    pub(crate) async fn snapshot(&self) -> String {
        let name = self.name().replace('\'', "''");
        let query = format!(
            "WITH r AS (SELECT oid FROM pg_authid WHERE rolname LIKE '{name}\\_%'), \
             d AS (SELECT oid FROM pg_database WHERE datname = '{name}') \
             SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
             SELECT 'database ' || xmin || ' ' || datname || coalesce(datacl::text, '') FROM pg_database WHERE oid IN (TABLE d) \
             UNION ALL SELECT 'role ' || xmin || ' ' || rolname || coalesce(rolpassword, '') FROM pg_authid WHERE oid IN (TABLE r) \
             UNION ALL SELECT 'member ' || xmin || ' ' || roleid || ' ' || member FROM pg_auth_members WHERE roleid IN (TABLE r) \
             UNION ALL SELECT 'comment ' || xmin || ' ' || description FROM pg_shdescription WHERE objoid IN (TABLE r UNION ALL TABLE d) \
             UNION ALL SELECT 'setting ' || xmin || ' ' || setconfig::text FROM pg_db_role_setting WHERE setrole IN (TABLE r)) x(line)"
        );
        self.server().text("postgres", &query).await.unwrap_or_default()
    }
}

/// An error of that kind, which names these things and no password.
#[track_caller]
pub(crate) fn assert_error(error: &DriverError, kind: ErrorKind, named: &[&str]) {
    testkit::assert_error(error, kind, named, &[PASSWORD]);
}
