//! Real servers for tests: PostgreSQL from the system's package, Kafka from the jars of `images/kafka`, each on loopback
//! with a free port and a folder of its own. Each can be killed with SIGKILL and started again on its data.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Tests with servers run one after the other: they measure nothing, but they are heavy.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").port()
}

/// A child process that is killed with this value and may be killed before.
pub struct Process {
    child: Child,
    what: String,
}

impl Process {
    /// Starts `command` with its output in `log`; as an unprivileged user if `user` is given and we are root.
    pub fn start(mut command: Command, log: &Path, user: Option<u32>) -> Process {
        let what = command.get_program().to_string_lossy().into_owned();
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("log");
        command.stdin(Stdio::null()).stdout(out.try_clone().expect("log")).stderr(out).process_group(0);
        if let Some(id) = user.filter(|_| nix::unistd::geteuid().is_root()) {
            command.uid(id).gid(id);
        }
        Process { child: command.spawn().unwrap_or_else(|e| panic!("{what}: {e}")), what }
    }

    /// Its process identifier.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    pub fn kill9(&mut self) {
        self.child.kill().expect("it is ours to kill");
        self.child.wait().expect("it is ours to wait for");
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is ours to wait for").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.kill().is_err() || self.child.wait().is_err() {
            eprintln!("{} could not be ended", self.what);
        }
    }
}

const NOBODY: u32 = 65534;

fn own(path: &Path) {
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
}

/// A PostgreSQL server.
pub struct PostgreSql {
    dir: tempfile::TempDir,
    bin: PathBuf,
    /// Its port on loopback.
    pub port: u16,
    process: Option<Process>,
}

impl PostgreSql {
    /// A new cluster with database `antihate_leaf`; none, said aloud, where PostgreSQL 15 is not installed.
    pub fn new() -> Option<PostgreSql> {
        let bin = PathBuf::from("/usr/lib/postgresql/15/bin");
        if !bin.join("initdb").exists() {
            eprintln!("SKIPPED: postgresql-15 is not installed; appliance/deps installs it");
            return None;
        }
        let dir = tempfile::tempdir().expect("temp");
        own(dir.path());
        let mut init = Command::new(bin.join("initdb"));
        init.args(["-U", "antihate", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D"]).arg(dir.path().join("data"));
        let mut init = Process::start(init, &dir.path().join("log"), Some(NOBODY));
        assert!(init.child.wait().expect("initdb").success(), "initdb failed");
        let mut server = PostgreSql { dir, bin, port: free_port(), process: None };
        server.start();
        let made = server.psql("postgres", "CREATE DATABASE antihate_leaf");
        assert!(made.is_some(), "no database");
        Some(server)
    }

    /// Starts it and waits until it answers; after a kill the old server's children may linger for a moment.
    pub fn start(&mut self) {
        super::until("PostgreSQL answers", Duration::from_secs(120), || {
            if !self.process.as_mut().is_some_and(Process::runs) {
                let mut c = Command::new(self.bin.join("postgres"));
                c.arg("-D").arg(self.dir.path().join("data")).args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"]).arg(self.dir.path());
                self.process = Some(Process::start(c, &self.dir.path().join("log"), Some(NOBODY)));
            }
            self.psql("postgres", "SELECT 1")
        });
    }

    /// Kills the server.
    pub fn kill9(&mut self) {
        self.process.as_mut().expect("it runs").kill9();
    }

    /// Identifier of the server's first process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// psql on a database of this server; reads statements from its input.
    pub fn client(&self, database: &str) -> Command {
        let port = self.port.to_string();
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "antihate", "-d", database, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
        psql
    }

    /// Rows of a statement, one a line, columns separated by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> Option<String> {
        let out = self.client(database).args(["-c", sql]).output().expect("psql");
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_string())
    }

    /// Rows of a statement on the product's database.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let out = super::until("PostgreSQL answers", Duration::from_secs(60), || self.psql("antihate_leaf", sql));
        out.lines().map(str::to_string).collect()
    }

    /// The product's store on it.
    pub fn store(&self) -> antihate::store::Postgres {
        let (host, user) = ("127.0.0.1".into(), "antihate".into());
        antihate::store::Postgres::new(antihate::store::PgConfig { host, port: self.port, user, password: String::new(), database: "antihate_leaf".into() })
    }
}

/// A Kafka broker.
pub struct Kafka {
    dir: tempfile::TempDir,
    jars: PathBuf,
    /// Its port on loopback.
    pub port: u16,
    process: Option<Process>,
}

impl Kafka {
    /// A new broker; none, said aloud, where Java or the jars are not to be had.
    pub fn new() -> Option<Kafka> {
        let Some(jars) = jars() else {
            eprintln!("SKIPPED: no Kafka: Java and Maven (appliance/deps installs both) or ANTIHATE_TEST_KAFKA (a folder of jars) are needed");
            return None;
        };
        let mut broker = Kafka { dir: tempfile::tempdir().expect("temp"), jars, port: free_port(), process: None };
        let image = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("images/kafka/server.properties")).expect("the image's settings");
        let (port, control) = (broker.port, free_port());
        let own = format!(
            "\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}\nadvertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.quorum.voters=1@127.0.0.1:{control}\nlog.dirs={}\n",
            broker.dir.path().join("data").display()
        );
        std::fs::write(broker.settings(), image + &own).expect("settings");
        let mut format = broker.java("kafka.tools.StorageTool");
        format.args(["format", "-t", "QW50aUhhdGVMb2NhbE5vZA", "-c"]).arg(broker.settings());
        let mut format = Process::start(format, &broker.dir.path().join("log"), None);
        assert!(format.child.wait().expect("format").success(), "the storage could not be formatted");
        broker.start();
        Some(broker)
    }

    fn settings(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    fn java(&self, class: &str) -> Command {
        let mut c = Command::new("java");
        c.args(["-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-cp"]).arg(format!("{}/*", self.jars.display())).arg(class);
        c
    }

    /// Starts it and waits until it listens.
    pub fn start(&mut self) {
        let mut c = self.java("kafka.Kafka");
        c.arg(self.settings());
        self.process = Some(Process::start(c, &self.dir.path().join("log"), None));
        super::until("Kafka listens", Duration::from_secs(120), || std::net::TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Kills the broker.
    pub fn kill9(&mut self) {
        self.process.as_mut().expect("it runs").kill9();
    }

    /// Identifier of its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The folder with Kafka's jars: named, or fetched once as the image's build does it.
fn jars() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ANTIHATE_TEST_KAFKA") {
        return Some(named.into());
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka");
    let prepare = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/kafka/prepare");
    if !dir.join("ready").exists() {
        std::fs::create_dir_all(dir.join("jars")).ok()?;
        let done = Command::new("bash").arg(prepare).arg(&dir).status().ok()?;
        done.success().then(|| std::fs::write(dir.join("ready"), "")).and_then(Result::ok)?;
    }
    Command::new("java").arg("-version").output().ok().filter(|o| o.status.success()).map(|_| dir.join("jars"))
}
