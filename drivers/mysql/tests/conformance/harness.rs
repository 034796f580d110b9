//! Servers, names, and what every rule needs.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use db_operator_driver_mysql::{MysqlDriver, Parameters, Session};
use driver_api::{
    Desired, Driver, DriverError, ErrorKind, Login, Mark, Presence, Secret, Server, ServerTls, Target,
    TlsMode, testkit,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};

const VARIABLE: &str = "DB_OPERATOR_TEST_MYSQL";

/// How long a condition may take to come about.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The password of every tenant in here.
pub(crate) const PASSWORD: &str = "it's \"correct\" horse\\battery";

/// A database server and an account on it that may do everything.
#[derive(Clone, Debug)]
pub(crate) struct TestServer {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) ca: Option<String>,
}

fn parse(entry: &str) -> Option<TestServer> {
    let (name, rest) = entry.split_once('=')?;
    let mut parts = rest.splitn(5, ':').map(str::to_owned);
    let (host, port, user, password) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let ca =
        parts.next().map(|path| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}")));
    Some(TestServer { name: name.to_owned(), host, port: port.parse().ok()?, user, password, ca })
}

fn servers() -> &'static [TestServer] {
    static SERVERS: OnceLock<Vec<TestServer>> = OnceLock::new();
    SERVERS.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "a test gets its servers from the environment")]
        let list = std::env::var(VARIABLE).unwrap_or_default();
        let form = "name=host:port:user:password[:ca-file]";
        let entries = list.split_whitespace();
        let servers: Vec<_> = entries
            .map(|entry| parse(entry).unwrap_or_else(|| panic!("{VARIABLE}: {entry} is not {form}")))
            .collect();
        assert!(!servers.is_empty(), "{VARIABLE} must list the servers to test, as {form}");
        servers
    })
}

impl TestServer {
    pub(crate) fn is_mariadb(&self) -> bool {
        self.name.starts_with("mariadb")
    }

    /// The administrator's login, by which the driver works.
    pub(crate) fn admin(&self) -> Server {
        let tls = match &self.ca {
            Some(ca) => ServerTls::new(TlsMode::VerifyCa, Some(ca.clone())),
            None => ServerTls::new(TlsMode::Disable, None),
        };
        Server::new(&self.host, self.port, tls, Login::new(&self.user, Secret::new(&self.password)))
    }

    /// A session beside the driver.
    pub(crate) async fn log_in(
        &self,
        user: &str,
        password: &str,
        database: Option<&str>,
    ) -> Result<Conn, mysql_async::Error> {
        let opts = OptsBuilder::default()
            .ip_or_hostname(&self.host)
            .tcp_port(self.port)
            .user(Some(user))
            .pass(Some(password))
            .db_name(database)
            .prefer_socket(false)
            .stmt_cache_size(0);
        Conn::new(opts).await
    }

    /// The session of the account that may do everything.
    pub(crate) async fn superuser(&self) -> Conn {
        let mut conn = self.log_in(&self.user, &self.password, None).await.expect("the superuser logs in");
        conn.query_drop("SET SESSION sql_mode = ''").await.unwrap();
        conn
    }

    /// Runs statements as the superuser.
    pub(crate) async fn run(&self, sql: &str) {
        let mut conn = self.superuser().await;
        for statement in sql.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            conn.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        conn.disconnect().await.unwrap();
    }

    /// All cells of all rows, from the superuser's view.
    pub(crate) async fn text(&self, query: &str) -> String {
        let mut conn = self.superuser().await;
        let rows: Vec<Row> = conn.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        conn.disconnect().await.unwrap();
        let cell = |value: Value| match value {
            Value::Bytes(text) => String::from_utf8_lossy(&text).into_owned(),
            other => other.as_sql(true),
        };
        let line = |row: Row| row.unwrap().into_iter().map(cell).collect::<Vec<_>>().join(" ");
        rows.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The server's error number.
#[track_caller]
pub(crate) fn code(error: &mysql_async::Error) -> u16 {
    match error {
        mysql_async::Error::Server(error) => error.code,
        other => panic!("{other}"),
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

/// Who changes a server's settings does it alone.
static SETTINGS: RwLock<()> = RwLock::new(());

/// Runs a rule for every server, at the same time, and removes what it made.
pub(crate) fn for_each_server(name: &str, rule: impl Fn(Context) -> Rule) {
    let _shared = SETTINGS.read().unwrap_or_else(PoisonError::into_inner);
    run_for_each_server(name, rule);
}

/// The same, while no other rule runs.
pub(crate) fn for_each_server_alone(name: &str, rule: impl Fn(Context) -> Rule) {
    let _alone = SETTINGS.write().unwrap_or_else(PoisonError::into_inner);
    run_for_each_server(name, rule);
}

fn run_for_each_server(name: &str, rule: impl Fn(Context) -> Rule) {
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
            failed.then(|| context.server.name.clone())
        })
        .collect();
    assert!(failed.is_empty(), "{name} does not hold on {}", failed.join(", "));
}

pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Context {
    /// A database of this rule, as the superuser makes it.
    pub(crate) fn case(&self, label: &str) -> Case {
        self.case_marked(label, "test-cluster")
    }

    pub(crate) fn case_marked(&self, label: &str, cluster: &str) -> Case {
        let name = format!("{}_{label}", self.prefix);
        let target = Target::new(&name, Mark::new(cluster, format!("uid-{name}")), MysqlDriver::MAX_USERNAME);
        let login = Login::new(&target.active_login, Secret::new(PASSWORD));
        Case {
            context: self.clone(),
            admin: self.server.admin(),
            target,
            desired: Desired::new(Parameters::default(), login),
        }
    }

    /// Removes what begins with the prefix, whatever state it is in.
    async fn clean(&self) {
        let like = format!("LIKE '{}\\_%'", self.prefix);
        let mut conn = self.server.superuser().await;
        for xid in conn.query::<Row, _>("XA RECOVER").await.unwrap() {
            let xid: String = xid.get(3).unwrap();
            if xid.starts_with(&self.prefix) {
                let _ = conn.query_drop(format!("XA ROLLBACK '{xid}'")).await;
            }
        }
        let sessions: Vec<u64> = conn
            .query(format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER {like}"))
            .await
            .unwrap();
        for id in sessions {
            let _ = conn.query_drop(format!("KILL {id}")).await;
        }
        let databases: Vec<String> = conn
            .query(format!("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME {like}"))
            .await
            .unwrap();
        for database in databases {
            let dropped = conn.query_drop(format!("DROP DATABASE {}", quoted(&database))).await;
            dropped.unwrap_or_else(|error| println!("cleaning up {database}: {error}"));
        }
        let accounts: Vec<(String, String)> =
            conn.query(format!("SELECT User, Host FROM mysql.user WHERE User {like}")).await.unwrap();
        for (user, host) in accounts {
            let _ = conn.query_drop(format!("DROP USER {}@{}", quoted(&user), quoted(&host))).await;
        }
        let _ = conn.query_drop(format!("DELETE FROM db_operator.objects WHERE name {like}")).await;
        conn.disconnect().await.unwrap();
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
        MysqlDriver.connect(&self.admin, &self.target).await
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
        MysqlDriver
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
        let presence = MysqlDriver.observe(&mut session, &self.target, None).await.unwrap();
        assert_eq!(presence, Presence::Absent);
        drop(session);
        // Nor is anything left that observe does not speak of.
        assert_eq!(self.snapshot().await, "");
    }

    pub(crate) async fn try_ensure_present(&self) -> Result<(), DriverError> {
        let mut session = self.session().await;
        MysqlDriver.ensure_present(&mut session, &self.target, &self.desired).await
    }

    pub(crate) async fn ensure_present(&self) {
        self.try_ensure_present().await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    pub(crate) async fn try_ensure_absent(&self) -> Result<(), DriverError> {
        let mut session = self.session().await;
        MysqlDriver.ensure_absent(&mut session, &self.target).await
    }

    pub(crate) async fn ensure_absent(&self) {
        self.try_ensure_absent().await.unwrap_or_else(|error| panic!("{}", error.chain()));
    }

    pub(crate) async fn try_lock_out(&self) -> Result<(), DriverError> {
        let mut session = self.session().await;
        MysqlDriver.lock_out(&mut session, &self.target).await
    }

    /// The error of `ensure_present`, which must be of that kind and name these things.
    pub(crate) async fn assert_refused(&self, kind: ErrorKind, named: &[&str]) {
        let error = self.try_ensure_present().await.expect_err("ensure_present is refused");
        assert_error(&error, kind, named);
    }

    /// A session of the application.
    pub(crate) async fn tenant(&self) -> Conn {
        let Login { username, password, .. } = &self.desired.login;
        let opened = self.server().log_in(username, password.expose(), Some(self.name())).await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs statements as the superuser, with the names filled in.
    pub(crate) async fn run(&self, sql: &str) {
        self.server().run(&self.fill(sql)).await;
    }

    /// Fills the names in, quoted: `{db}`, the accounts `{a}` and `{b}`, and `{on}` for a grant.
    pub(crate) fn fill(&self, sql: &str) -> String {
        let name = self.name();
        let pattern = name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
        sql.replace("{db}", &quoted(name))
            .replace("{on}", &format!("{}.*", quoted(&pattern)))
            .replace("{a}", &format!("{}@`%`", quoted(&self.target.active_login)))
            .replace("{b}", &format!("{}@`%`", quoted(&self.target.standby_login)))
    }

    /// Everything on the server that is about this database: two that are equal mean that nothing was written in between.
    pub(crate) async fn snapshot(&self) -> String {
        let literal = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
        let name = literal(self.name());
        let accounts =
            format!("{}, {}", literal(&self.target.active_login), literal(&self.target.standby_login));
        let users = if self.server().is_mariadb() {
            format!("SELECT User, Host, Priv FROM mysql.global_priv WHERE User IN ({accounts})")
        } else {
            format!("SELECT * FROM mysql.user WHERE User IN ({accounts})")
        };
        let has_registry = self
            .server()
            .text("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'db_operator'")
            .await;
        let registry = if has_registry.is_empty() {
            "SELECT 1 WHERE FALSE".to_owned()
        } else {
            format!(
                "SELECT * FROM db_operator.objects WHERE (kind = 'database' AND name = {name}) \
                 OR (kind = 'account' AND name IN ({accounts}))"
            )
        };
        let mut texts = Vec::new();
        for query in [
            format!("SELECT 'database', s.* FROM information_schema.SCHEMATA s WHERE SCHEMA_NAME = {name}"),
            users,
            format!("SELECT 'grant', d.* FROM mysql.db d WHERE User IN ({accounts})"),
            registry,
        ] {
            texts.push(self.server().text(&query).await);
        }
        texts.retain(|text| !text.is_empty());
        texts.join("\n")
    }
}

/// An error of that kind, which names these things and no password.
#[track_caller]
pub(crate) fn assert_error(error: &DriverError, kind: ErrorKind, named: &[&str]) {
    testkit::assert_error(error, kind, named, &[PASSWORD]);
}
