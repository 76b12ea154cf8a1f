//! A STAND-IN for k3s in tests: it honours the contract of `appliance/k3s/CONTRACT.md` by starting the components of the embedded
//! distribution from the configuration file that k3s would be given. It is not k3s and proves nothing of k3s; it proves that what the
//! host process writes, starts, asks, imports and takes away fits the contract. Compiled by the test with `rustc` alone.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, exit};
use std::time::Duration;

const STATE: &str = "/run/k3s/containerd";
/// Every option of `k3s server` that the contract names. Real k3s warns of one that it does not know and goes on; here it is an error.
const OPTIONS: [&str; 29] = [
    "data-dir", "token-file", "write-kubeconfig", "write-kubeconfig-mode", "node-name", "node-ip", "advertise-address", "https-listen-port", "tls-san",
    "cluster-cidr", "service-cidr", "cluster-dns", "datastore-endpoint", "secrets-encryption", "secrets-encryption-provider", "flannel-backend",
    "disable-network-policy", "egress-selector-mode", "disable-cloud-controller", "disable-helm-controller", "disable", "resolv-conf", "pause-image",
    "node-label", "kube-apiserver-arg", "kubelet-arg", "kube-proxy-arg", "protect-kernel-defaults", "config",
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version"] => println!("k3s version v1.37.2+standin1 (no-k3s)\ngo version none"),
        ["server", "--config", file] => Server::read(file).run(),
        ["ctr", ..] => fail(&format!("ctr: {}", Command::new(embedded()).arg0("ctr").args(&args[1..]).exec())),
        _ => fail(&format!("no such command: {args:?}")),
    }
}

fn fail(why: &str) -> ! {
    eprintln!("the stand-in for k3s refuses: {why}");
    exit(1)
}

fn until(who: &str, answers: impl Fn() -> bool) {
    for _ in 0..600 {
        if answers() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    fail(&format!("{who} does not answer"))
}

/// The embedded distribution, which the host process puts into the PATH.
fn embedded() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|p| p.join("kubernetes")).find(|p| p.is_file()).unwrap_or_else(|| fail("no embedded distribution in the PATH"))
}

struct Server {
    options: BTreeMap<String, Vec<String>>,
    data: PathBuf,
}

impl Server {
    /// Names with a value, or with a list of values below; all texts are quoted and hold no quote.
    fn read(file: &str) -> Server {
        let text = fs::read_to_string(file).unwrap_or_else(|e| fail(&format!("{file}: {e}")));
        let (mut options, mut last) = (BTreeMap::<String, Vec<String>>::new(), String::new());
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let plain = |v: &str| v.trim().trim_matches('"').to_string();
            match (line.strip_prefix("  - "), line.split_once(':')) {
                (Some(item), _) => options.get_mut(&last).unwrap_or_else(|| fail(line)).push(plain(item)),
                (None, Some((name, value))) if OPTIONS.contains(&name) => {
                    last = name.to_string();
                    options.insert(last.clone(), Some(plain(value)).filter(|v| !v.is_empty()).into_iter().collect());
                }
                _ => fail(&format!("option {line:?}")),
            }
        }
        let data = options.get("data-dir").and_then(|v| v.first()).map(PathBuf::from).unwrap_or_else(|| fail("no data-dir"));
        Server { options, data }
    }

    fn one(&self, name: &str) -> &str {
        self.options.get(name).and_then(|v| v.first()).unwrap_or_else(|| fail(&format!("{name} is not set")))
    }

    fn many(&self, name: &str) -> Vec<String> {
        self.options.get(name).cloned().unwrap_or_default()
    }

    fn path(&self, name: &str) -> String {
        self.data.join(name).display().to_string()
    }

    fn run(&self) -> ! {
        if Path::new("/run/k3s-refuse").exists() {
            fail("a test asks for it");
        }
        self.keys();
        let mut children = vec![self.containerd(), self.kine(), self.apiserver()];
        // What follows ends where these do not answer yet; k3s waits in the same way inside of its one process.
        let port: u16 = self.one("https-listen-port").parse().unwrap_or_else(|e| fail(&format!("port: {e}")));
        until("containerd", || UnixStream::connect(Path::new(STATE).join("containerd.sock")).is_ok());
        until("the API server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        // These two may ask before the API server has made the roles by which they may: they are started again.
        let (mut controllers, mut scheduler) = (self.controllers(), self.scheduler());
        children.extend([self.kubelet(), self.start("kube-proxy", dashed(self.many("kube-proxy-arg")))]);
        loop {
            if let Ok(Some(_)) = controllers.try_wait() {
                controllers = self.controllers();
            }
            if let Ok(Some(_)) = scheduler.try_wait() {
                scheduler = self.scheduler();
            }
            for child in &mut children {
                if let Ok(Some(status)) = child.try_wait() {
                    fail(&format!("a component ended: {status}"));
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn start(&self, name: &str, args: Vec<String>) -> Child {
        Command::new(embedded()).arg0(name).args(args).stdin(Stdio::null()).spawn().unwrap_or_else(|e| fail(&format!("{name}: {e}")))
    }

    fn containerd(&self) -> Child {
        let (template, config) = (self.path("agent/etc/containerd/config-v3.toml.tmpl"), self.path("agent/etc/containerd/config.toml"));
        fs::create_dir_all(STATE).and_then(|()| fs::create_dir_all(self.data.join("agent/containerd"))).unwrap_or_else(|e| fail(&format!("folders: {e}")));
        fs::copy(template, &config).unwrap_or_else(|e| fail(&format!("the template of containerd: {e}")));
        let log = fs::File::options().create(true).append(true).open(self.path("agent/containerd/containerd.log")).unwrap_or_else(|e| fail(&format!("log: {e}")));
        let both = log.try_clone().expect("a second handle");
        Command::new(embedded()).arg0("containerd").args(["-c", &config]).stdout(log).stderr(both).spawn().unwrap_or_else(|e| fail(&format!("containerd: {e}")))
    }

    fn kine(&self) -> Child {
        self.start("kine", vec![format!("--endpoint={}", self.one("datastore-endpoint")), format!("--listen-address=unix://{}", self.path("server/kine.sock"))])
    }

    fn apiserver(&self) -> Child {
        let tls = |f: &str| self.path(&format!("server/tls/{f}"));
        let mut args = vec![
            format!("--advertise-address={}", self.one("advertise-address")), "--bind-address=0.0.0.0".into(), format!("--secure-port={}", self.one("https-listen-port")),
            format!("--etcd-servers=unix://{}", self.path("server/kine.sock")), format!("--service-cluster-ip-range={}", self.one("service-cidr")),
            "--authorization-mode=Node,RBAC".into(), "--allow-privileged=true".into(), "--profiling=false".into(),
            format!("--client-ca-file={}", tls("client-ca.crt")), format!("--tls-cert-file={}", tls("serving-kube-apiserver.crt")),
            format!("--tls-private-key-file={}", tls("serving-kube-apiserver.key")), format!("--kubelet-certificate-authority={}", tls("server-ca.crt")),
            format!("--kubelet-client-certificate={}", tls("client-kube-apiserver.crt")), format!("--kubelet-client-key={}", tls("client-kube-apiserver.key")),
            "--kubelet-preferred-address-types=InternalIP".into(), "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
            format!("--service-account-key-file={}", tls("service.key")), format!("--service-account-signing-key-file={}", tls("service.key")),
        ];
        if self.one("secrets-encryption") == "true" {
            args.push(format!("--encryption-provider-config={}", self.path("server/cred/encryption-config.json")));
        }
        args.extend(dashed(self.many("kube-apiserver-arg")));
        self.start("kube-apiserver", args)
    }

    fn controllers(&self) -> Child {
        let tls = |f: &str| self.path(&format!("server/tls/{f}"));
        let config = self.path("server/cred/controller.kubeconfig");
        self.start("kube-controller-manager", vec![
            format!("--kubeconfig={config}"), format!("--authentication-kubeconfig={config}"), format!("--authorization-kubeconfig={config}"), "--bind-address=127.0.0.1".into(),
            format!("--root-ca-file={}", tls("server-ca.crt")), format!("--service-account-private-key-file={}", tls("service.key")), "--use-service-account-credentials=true".into(),
            "--leader-elect=false".into(), "--allocate-node-cidrs=true".into(), format!("--cluster-cidr={}", self.one("cluster-cidr")),
            format!("--service-cluster-ip-range={}", self.one("service-cidr")), "--profiling=false".into(),
        ])
    }

    fn scheduler(&self) -> Child {
        let config = self.path("server/cred/scheduler.kubeconfig");
        self.start("kube-scheduler", ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"].map(|a| format!("--{a}={config}")).into_iter().chain(["--leader-elect=false".into(), "--bind-address=127.0.0.1".into()]).collect())
    }

    /// Its own settings first, then the folder in which more are laid over them.
    fn kubelet(&self) -> Child {
        let own = self.path("agent/etc/kubelet.conf.d/00-k3s-defaults.conf");
        let text = format!(
            r#"{{"apiVersion":"kubelet.config.k8s.io/v1beta1","kind":"KubeletConfiguration","cgroupDriver":"cgroupfs","failSwapOn":false,
"containerRuntimeEndpoint":"unix://{STATE}/containerd.sock","clusterDNS":["{}"],"resolvConf":"{}","healthzBindAddress":"127.0.0.1",
"authentication":{{"anonymous":{{"enabled":false}},"webhook":{{"enabled":true}},"x509":{{"clientCAFile":"{}"}}}},"authorization":{{"mode":"Webhook"}},
"tlsCertFile":"{}","tlsPrivateKeyFile":"{}","kubeletCgroups":"/k3s"}}"#,
            self.one("cluster-dns"), self.one("resolv-conf"), self.path("server/tls/client-ca.crt"), self.path("agent/serving-kubelet.crt"), self.path("agent/serving-kubelet.key"),
        );
        fs::write(own, text).unwrap_or_else(|e| fail(&format!("kubelet: {e}")));
        let mut args = vec![
            format!("--config-dir={}", self.path("agent/etc/kubelet.conf.d")), format!("--kubeconfig={}", self.path("agent/kubelet.kubeconfig")),
            format!("--hostname-override={}", self.one("node-name")), format!("--node-ip={}", self.one("node-ip")), format!("--node-labels={}", self.many("node-label").join(",")),
        ];
        args.extend(dashed(self.many("kubelet-arg")));
        self.start("kubelet", args)
    }

    /// Authorities, certificates, kubeconfigs and tokens, where k3s has them; made once.
    fn keys(&self) {
        let token = fs::read_to_string(self.one("token-file")).unwrap_or_default();
        if token.trim().is_empty() {
            fail("the token is empty");
        }
        if self.data.join("server/token").exists() {
            return;
        }
        for folder in ["server/tls", "server/cred", "agent"] {
            fs::create_dir_all(self.data.join(folder)).unwrap_or_else(|e| fail(&format!("{folder}: {e}")));
        }
        let (server, client) = (self.path("server/tls/server-ca"), self.path("server/tls/client-ca"));
        for ca in [&server, &client] {
            openssl(&["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650", "-subj", "/CN=stand-in", "-keyout", &format!("{ca}.key"), "-out", &format!("{ca}.crt")]);
        }
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &self.path("server/tls/service.key")]);
        let node = self.one("node-name");
        let names = format!("subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,DNS:{node},IP:127.0.0.1,IP:10.43.0.1,IP:{}", self.one("node-ip"));
        self.leaf("server/tls/serving-kube-apiserver", "/CN=kube-apiserver", &server, &names);
        self.leaf("agent/serving-kubelet", &format!("/CN={node}"), &server, &names);
        let caller = "extendedKeyUsage=clientAuth";
        self.leaf("server/tls/client-kube-apiserver", "/O=system:masters/CN=system:apiserver", &client, caller);
        let users = [
            ("server/tls/client-admin", "/O=system:masters/CN=system:admin", "server/cred/admin.kubeconfig"),
            ("server/tls/client-controller", "/CN=system:kube-controller-manager", "server/cred/controller.kubeconfig"),
            ("server/tls/client-scheduler", "/CN=system:kube-scheduler", "server/cred/scheduler.kubeconfig"),
            ("agent/client-kubelet", &format!("/O=system:nodes/CN=system:node:{node}"), "agent/kubelet.kubeconfig"),
            ("agent/client-kube-proxy", "/CN=system:kube-proxy", "agent/kubeproxy.kubeconfig"),
        ];
        for (file, subject, config) in users {
            self.leaf(file, subject, &client, caller);
            self.keep(config, &self.kubeconfig(file));
        }
        fs::copy(self.data.join("server/cred/admin.kubeconfig"), self.one("write-kubeconfig")).unwrap_or_else(|e| fail(&format!("write-kubeconfig: {e}")));
        let key = String::from_utf8(openssl(&["rand", "-base64", "32"])).expect("text");
        self.keep("server/cred/encryption-config.json", &format!(
            r#"{{"kind":"EncryptionConfiguration","apiVersion":"apiserver.config.k8s.io/v1","resources":[{{"resources":["secrets"],"providers":[{{"{}":{{"keys":[{{"name":"k","secret":"{}"}}]}}}},{{"identity":{{}}}}]}}]}}"#,
            self.one("secrets-encryption-provider"), key.trim()));
        fs::create_dir_all("/etc/rancher/node").and_then(|()| fs::write("/etc/rancher/node/password", "stand-in")).unwrap_or_else(|e| fail(&format!("password: {e}")));
        self.keep("server/token", &format!("K10stand-in::server:{}", token.trim()));
    }

    fn keep(&self, name: &str, text: &str) {
        fs::write(self.data.join(name), text).unwrap_or_else(|e| fail(&format!("{name}: {e}")));
    }

    fn leaf(&self, file: &str, subject: &str, ca: &str, extension: &str) {
        let (key, request, crt, more) = (self.path(&format!("{file}.key")), self.path(&format!("{file}.csr")), self.path(&format!("{file}.crt")), self.path(&format!("{file}.ext")));
        fs::write(&more, extension).unwrap_or_else(|e| fail(&format!("{more}: {e}")));
        openssl(&["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject, "-keyout", &key, "-out", &request]);
        openssl(&["x509", "-req", "-in", &request, "-CA", &format!("{ca}.crt"), "-CAkey", &format!("{ca}.key"), "-CAcreateserial", "-days", "365", "-extfile", &more, "-out", &crt]);
    }

    /// Names files by their whole paths, as k3s does.
    fn kubeconfig(&self, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: https://127.0.0.1:{}\n    certificate-authority: {}\ncontexts:\n- name: Default\n  context: {{cluster: local, user: user}}\ncurrent-context: Default\nusers:\n- name: user\n  user:\n    client-certificate: {}\n    client-key: {}\n",
            self.one("https-listen-port"), self.path("server/tls/server-ca.crt"), self.path(&format!("{user}.crt")), self.path(&format!("{user}.key")),
        )
    }
}

fn dashed(args: Vec<String>) -> Vec<String> {
    args.into_iter().map(|a| format!("--{a}")).collect()
}

fn openssl(args: &[&str]) -> Vec<u8> {
    let out = Command::new("openssl").args(args).output().unwrap_or_else(|e| fail(&format!("openssl: {e}")));
    if !out.status.success() {
        fail(&format!("openssl {args:?}: {}", String::from_utf8_lossy(&out.stderr)));
    }
    out.stdout
}
