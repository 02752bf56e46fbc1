//! What the end-to-end tests stand on: the real binary, real Git repositories, and an API server over HTTP.
//!
//! The server is the sandbox, or the one that `LOCKSTEP_TEST_KUBECONFIG` names for tests that need no simulation. Every
//! test makes a namespace of its own.
#![allow(dead_code, reason = "each test file uses its part of the harness")]

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything that should happen may take before a test fails; generous, since CI has two cores.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The binary with nothing of the caller's environment that could change what it does.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    for (name, _) in std::env::vars() {
        if name.starts_with("LOCKSTEP_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("KUBECONFIG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

pub fn lockstep(arguments: &[&str]) -> Answer {
    lockstep_in(Path::new("/"), arguments)
}

pub fn lockstep_in(folder: &Path, arguments: &[&str]) -> Answer {
    let output = command()
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the binary starts");
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("messages are UTF-8"),
    }
}

/// A configuration repository.
pub struct Repo {
    folder: TempDir,
    repository: git2::Repository,
}

impl Repo {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main");
        let repository = git2::Repository::init_opts(folder.path(), &options).expect("git init");
        Self { folder, repository }
    }

    /// A repository with one commit of these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let repo = Self::new();
        for (path, text) in files {
            repo.write(path, text);
        }
        repo.commit("first");
        repo
    }

    pub fn path(&self) -> &str {
        self.folder.path().to_str().expect("a UTF-8 path")
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let file = self.folder.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
        std::fs::write(file, text).expect("a file");
    }

    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.path().join(path)).expect("the file was there");
    }

    /// Commits the work tree as it is.
    pub fn commit(&self, message: &str) -> String {
        let mut index = self.repository.index().expect("an index");
        index
            .add_all(["*"], git2::IndexAddOption::DEFAULT, None)
            .expect("git add");
        index.update_all(["*"], None).expect("git add -u");
        index.write().expect("the index is written");
        let tree = self
            .repository
            .find_tree(index.write_tree().expect("a tree"))
            .expect("the tree");
        let author =
            git2::Signature::new("Ada", "ada@example.com", &git2::Time::new(1_700_000_000, 0))
                .expect("a signature");
        let parent = self
            .repository
            .head()
            .ok()
            .and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let id = self
            .repository
            .commit(Some("HEAD"), &author, &author, message, &tree, &parents)
            .expect("a commit");
        id.to_string()
    }

    pub fn run(&self, kubeconfig: &Path, arguments: &[&str]) -> Answer {
        let mut all = vec![
            "--repo",
            self.path(),
            "--kubeconfig",
            kubeconfig.to_str().expect("a UTF-8 path"),
        ];
        all.extend(arguments);
        lockstep(&all)
    }
}

/// A process that is ended with the test.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub seen: Vec<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (sender, lines) = mpsc::channel();
        let out = child.stdout.take().expect("piped");
        let err = child.stderr.take().expect("piped");
        for stream in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line that contains `text`.
    pub fn line(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => break,
            }
        }
        panic!("no line with `{text}` among:\n{}", self.seen.join("\n"));
    }

    /// Whether a line that contains `text` comes within this time.
    pub fn says(&mut self, text: &str, within: Duration) -> bool {
        let end = Instant::now() + within;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Ok(line) = self.lines.recv_timeout(left) else {
                break;
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return true;
            }
        }
        false
    }

    /// Every line until now.
    pub fn so_far(&mut self) -> &[String] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// SIGKILL: nothing is said, nothing tidied up.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it can be waited for").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An API server with a namespace for one test.
pub struct Server {
    _sandbox: Option<Running>,
    _folder: TempDir,
    pub kubeconfig: PathBuf,
    pub namespace: String,
    pub client: kube::Client,
    runtime: tokio::runtime::Runtime,
}

static NAMESPACES: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// The named server, or a sandbox without simulation.
    pub fn any() -> Self {
        match std::env::var_os("LOCKSTEP_TEST_KUBECONFIG") {
            // The named server has its own definitions installed.
            Some(kubeconfig) => Self::at(
                PathBuf::from(kubeconfig),
                None,
                tempfile::tempdir().expect("a folder"),
            ),
            None => Self::sandbox(&["--simulate", "none"]),
        }
    }

    /// A sandbox with StackGres and Patroni simulated, faster than life.
    pub fn simulated(speed: u32) -> Self {
        Self::sandbox(&["--simulate", "stackgres", "--speed", &speed.to_string()])
    }

    pub fn sandbox(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let mut command = command();
        command
            .args(["sandbox", "--write-kubeconfig"])
            .arg(&kubeconfig)
            .args(arguments);
        let mut sandbox = Running::start(command);
        sandbox.line("http://127.0.0.1:");
        Self::at(kubeconfig, Some(sandbox), folder)
    }

    fn at(kubeconfig: PathBuf, sandbox: Option<Running>, folder: TempDir) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
            let read = kube::config::Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(read, &options)
                .await
                .expect("a usable kubeconfig");
            kube::Client::try_from(config).expect("a client")
        });
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("test-{}-{number}", std::process::id());
        let server = Self {
            _sandbox: sandbox,
            _folder: folder,
            kubeconfig,
            namespace,
            client,
            runtime,
        };
        server.create(
            "v1",
            "Namespace",
            None,
            json!({"metadata": {"name": server.namespace}}),
        );
        server
    }

    /// In-process requests of the sandbox itself go through the same counters: `GET /sandbox/requests`.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn api(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let plural = match kind {
            "SGPostgresConfig" => "sgpgconfigs".to_owned(),
            "SGPoolingConfig" => "sgpoolconfigs".to_owned(),
            "Endpoints" => "endpoints".to_owned(),
            "SGDbOps" => "sgdbops".to_owned(),
            other => format!("{}s", other.to_lowercase()),
        };
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: api_version.into(),
            kind: kind.into(),
            plural,
        };
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    pub fn create(&self, api_version: &str, kind: &str, namespace: Option<&str>, object: Value) {
        self.create_as(None, api_version, kind, namespace, object);
    }

    fn create_as(
        &self,
        manager: Option<&str>,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        mut object: Value,
    ) {
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        let object = serde_json::from_value(object).expect("an object");
        let api = self.api(api_version, kind, namespace);
        let params = PostParams {
            field_manager: manager.map(str::to_owned),
            ..PostParams::default()
        };
        self.block_on(api.create(&params, &object))
            .expect("created");
    }

    /// Makes a cluster as `kubectl apply` does: by the real one, or where there is none in its manner.
    pub fn kubectl_apply(&self, manifest: &str) {
        let mut command = Command::new("kubectl");
        command
            .args(["apply", "--filename", "-", "--kubeconfig"])
            .arg(&self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        if let Ok(mut kubectl) = command.spawn() {
            let mut stdin = kubectl.stdin.take().expect("piped");
            stdin
                .write_all(manifest.as_bytes())
                .expect("kubectl reads it");
            drop(stdin);
            assert!(kubectl.wait().expect("kubectl ends").success());
            return;
        }
        let mut object: Value = serde_yaml::from_str(manifest).expect("a manifest");
        let text = object.to_string();
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
            json!(text);
        self.create_as(
            Some("kubectl-client-side-apply"),
            "stackgres.io/v1",
            "SGCluster",
            Some(&self.namespace),
            object,
        );
    }

    pub fn cluster(&self, name: &str) -> Option<Value> {
        let api = self.api("stackgres.io/v1", "SGCluster", Some(&self.namespace));
        let found = self.block_on(api.get_opt(name)).expect("an answer");
        found.map(|object| serde_json::to_value(object).expect("an object"))
    }

    pub fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let api = self.api(api_version, kind, Some(&self.namespace));
        let found = self.block_on(api.get_opt(name)).expect("an answer");
        found.map(|object| serde_json::to_value(object).expect("an object"))
    }

    /// A merge patch as `manager`, such as `kubectl edit` makes.
    pub fn patch(&self, api_version: &str, kind: &str, name: &str, manager: &str, patch: &Value) {
        let api = self.api(api_version, kind, Some(&self.namespace));
        let params = PatchParams {
            field_manager: Some(manager.into()),
            ..PatchParams::default()
        };
        self.block_on(api.patch(name, &params, &Patch::Merge(patch)))
            .expect("patched");
    }

    pub fn edit(&self, cluster: &str, patch: &Value) {
        self.patch(
            "stackgres.io/v1",
            "SGCluster",
            cluster,
            "kubectl-edit",
            patch,
        );
    }

    /// Waits until `what` holds for the cluster.
    pub fn until(&self, cluster: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.cluster(cluster);
            if let Some(found) = found.filter(|found| holds(found)) {
                return found;
            }
            if Instant::now() > end {
                let last = self.cluster(cluster);
                panic!("{cluster} never became {what}: {last:#?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts the daemon on a repository.
    pub fn daemon(&self, repo: &Repo, arguments: &[&str]) -> Running {
        let mut command = command();
        command.args([
            "run",
            "--repo",
            repo.path(),
            "--listen",
            "127.0.0.1:0",
            "--interval",
            "2s",
            "--kubeconfig",
        ]);
        command.arg(&self.kubeconfig).args(arguments);
        Running::start(command)
    }

    /// Writes of Lockstep that the server has answered. Sandbox only.
    pub fn writes_of_lockstep(&self) -> u64 {
        let request = http::Request::get("/sandbox/requests")
            .body(Vec::new())
            .expect("a request");
        let counts: Value = self
            .block_on(self.client.request(request))
            .expect("the counts");
        let is_write =
            |count: &&Value| !matches!(count["verb"].as_str(), Some("get" | "list" | "watch"));
        let by_lockstep = |count: &&Value| {
            count["agent"]
                .as_str()
                .is_some_and(|agent| agent.starts_with("lockstep"))
        };
        let counts = counts["requests"].as_array().cloned().unwrap_or_default();
        counts
            .iter()
            .filter(is_write)
            .filter(by_lockstep)
            .filter_map(|count| count["count"].as_u64())
            .sum()
    }
}

/// An SGCluster as short as the server takes it.
pub fn cluster(namespace: &str, name: &str, instances: u32, replication: &str) -> String {
    format!(
        "apiVersion: stackgres.io/v1\nkind: SGCluster\nmetadata:\n  namespace: {namespace}\n  name: {name}\nspec:\n  \
         postgres:\n    version: '16.1'\n  instances: {instances}\n  pods:\n    persistentVolume:\n      size: 10Gi\n  \
         replication: {replication}\n"
    )
}

/// `spec.replication.mode`.
pub fn mode(cluster: &Value) -> &str {
    cluster
        .pointer("/spec/replication/mode")
        .and_then(Value::as_str)
        .unwrap_or_default()
}
