//! From a kubeconfig, or the Pod's own account, to a client.
//!
//! Where: `--kubeconfig`, else KUBECONFIG, else the file in the home directory, else the Pod's service account. A user
//! section that starts a program (`exec`, `auth-provider`) is refused by name unless the operator of Lockstep allows it.
//! Nothing is sent here: whether the server answers is seen by the first list.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, Uri};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::util::MapErrLayer;

use super::failure::{Addressed, command_word, credentials_text};

/// A server that does not accept a connection in this time is taken as unreachable.
const CONNECT: Duration = Duration::from_secs(10);
/// Backstop for a connection that has died without a word. Longer than any watch is asked to last.
const READ: Duration = Duration::from_secs(180);
const WRITE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
pub struct ConnectSettings {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// Whether a kubeconfig may start a program to get credentials.
    pub allow_exec: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "no kubeconfig: none is given, KUBECONFIG is not set, there is no ~/.kube/config, and this is not a Pod"
    )]
    FindKubeconfig,
    #[error("cannot read the kubeconfig {place}: {why}")]
    ReadKubeconfig { place: String, why: String },
    #[error("no context `{context}` in the kubeconfig {place}")]
    FindContext { context: String, place: String },
    #[error(
        "cannot use the kubeconfig {place}: its user gets credentials from `{plugin}`, and starting programs is not allowed"
    )]
    RunPlugin { place: String, plugin: String },
    #[error("cannot use the Pod's service account: {why}")]
    UseServiceAccount { why: String },
    #[error("cannot prepare the connection to {address}: {why}")]
    PrepareConnection { address: String, why: String },
}

/// A client for the server that the settings and the environment name. Sends nothing.
pub async fn connect(settings: &ConnectSettings) -> Result<Client, ConnectError> {
    install_tls_provider();
    let mut config = load(settings).await?;
    // Audit logs name who asked.
    let agent = HeaderValue::from_static(concat!("lockstep/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, agent));
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(WRITE);
    // A retry is the next pass or the watch's own back-off; a client that tries again by itself for minutes hides both.
    config.default_retry = false;
    let address = config
        .cluster_url
        .to_string()
        .trim_end_matches('/')
        .to_owned();
    // A credential plugin, where allowed, runs here and may take its time.
    let built = tokio::task::spawn_blocking(move || ClientBuilder::try_from(config))
        .await
        .map_err(|_| ConnectError::PrepareConnection {
            address: address.clone(),
            why: "the preparation ended early".into(),
        })?;
    let builder = built.map_err(|error| ConnectError::PrepareConnection {
        address: address.clone(),
        why: match &error {
            kube::Error::Auth(auth) => credentials_text(auth),
            kube::Error::InferKubeconfig(error) => kubeconfig_text(error),
            other => other.to_string(),
        },
    })?;
    Ok(builder
        .with_layer(&MapErrLayer::new(move |source| Addressed {
            address: address.clone(),
            source,
        }))
        .build())
}

/// rustls needs one provider chosen for the process; the first to choose wins, and it is always this one.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Only fails where another thread has installed it in between.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

async fn load(settings: &ConnectSettings) -> Result<Config, ConnectError> {
    let (kubeconfig, place) = match &settings.kubeconfig {
        Some(path) => (read_file(path)?, path.display().to_string()),
        None => match from_environment()? {
            Some(found) => found,
            None if settings.context.is_none() => {
                return in_cluster();
            }
            None => return Err(ConnectError::FindKubeconfig),
        },
    };
    let options = KubeConfigOptions {
        context: settings.context.clone(),
        ..KubeConfigOptions::default()
    };
    let named_proxies: Vec<Uri> = kubeconfig
        .clusters
        .iter()
        .filter_map(|named| named.cluster.as_ref()?.proxy_url.as_ref()?.parse().ok())
        .collect();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| match error {
            KubeconfigError::LoadContext(context) => ConnectError::FindContext {
                context,
                place: place.clone(),
            },
            error => ConnectError::ReadKubeconfig {
                place: place.clone(),
                why: kubeconfig_text(&error),
            },
        })?;
    if let Some(plugin) = plugin(&config)
        && !settings.allow_exec
    {
        return Err(ConnectError::RunPlugin { place, plugin });
    }
    // kube holds NO_PROXY against the proxy's own address instead of the server's.
    let is_named = |proxy: &Uri| named_proxies.contains(proxy);
    let exempt = ["NO_PROXY", "no_proxy"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_default();
    let host = config.cluster_url.host().unwrap_or("");
    if !config.proxy_url.as_ref().is_some_and(is_named) && goes_direct(host, &exempt) {
        config.proxy_url = None;
    }
    Ok(config)
}

/// Whether a host is reached without the proxy of the environment: the loopback always, else as NO_PROXY lists it (`*`, hosts,
/// domains with what is below them, addresses and networks).
fn goes_direct(host: &str, exempt: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    exempt
        .split(',')
        .map(|entry| entry.trim().to_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            let domain = entry.trim_start_matches("*.").trim_start_matches('.');
            entry == "*"
                || host == domain
                || host
                    .strip_suffix(domain)
                    .is_some_and(|front| front.ends_with('.'))
                || address.is_some_and(|address| is_within(address, &entry))
        })
}

fn is_within(address: IpAddr, network: &str) -> bool {
    let Some((base, bits)) = network.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) if bits <= 32 => {
            let differs = address.to_bits() ^ base.to_bits();
            differs.leading_zeros() >= bits
        }
        (IpAddr::V6(address), IpAddr::V6(base)) if bits <= 128 => {
            let differs = address.to_bits() ^ base.to_bits();
            differs.leading_zeros() >= bits
        }
        _ => false,
    }
}

/// The program that the chosen user would start, where there is one.
fn plugin(config: &Config) -> Option<String> {
    let exec = config.auth_info.exec.as_ref().map(|exec| {
        let command = exec.command.as_deref().unwrap_or("");
        format!("exec {}", command_word(command))
            .trim_end()
            .to_owned()
    });
    exec.or_else(|| {
        config
            .auth_info
            .auth_provider
            .as_ref()
            .map(|provider| format!("auth-provider {}", provider.name))
    })
}

fn read_file(path: &Path) -> Result<Kubeconfig, ConnectError> {
    Kubeconfig::read_from(path).map_err(|error| ConnectError::ReadKubeconfig {
        place: path.display().to_string(),
        why: kubeconfig_text(&error),
    })
}

/// KUBECONFIG (one or more files), else the file in the home directory where it exists.
fn from_environment() -> Result<Option<(Kubeconfig, String)>, ConnectError> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        let place = list.to_string_lossy().into_owned();
        let found = Kubeconfig::from_env().map_err(|error| ConnectError::ReadKubeconfig {
            place: place.clone(),
            why: kubeconfig_text(&error),
        })?;
        return Ok(found.map(|kubeconfig| (kubeconfig, place)));
    }
    let Some(path) = std::env::home_dir().map(|home| home.join(".kube").join("config")) else {
        return Ok(None);
    };
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some((read_file(&path)?, path.display().to_string())))
}

fn in_cluster() -> Result<Config, ConnectError> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Err(ConnectError::FindKubeconfig);
    }
    Config::incluster().map_err(|error| ConnectError::UseServiceAccount {
        why: error.to_string(),
    })
}

/// What is wrong with a kubeconfig, without a line of it: the parser's own text quotes the file, tokens included.
fn kubeconfig_text(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(source, _) => source.to_string(),
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!(
                "it is not a kubeconfig (line {}, column {})",
                place.line(),
                place.column()
            ),
            None => "it is not a kubeconfig".into(),
        },
        KubeconfigError::CurrentContextNotSet => "it has no current-context".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        text: &str,
        context: Option<&str>,
        allow_exec: bool,
    ) -> (tempfile::TempDir, ConnectSettings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let settings = ConnectSettings {
            kubeconfig: Some(path),
            context: context.map(str::to_owned),
            allow_exec,
        };
        (folder, settings)
    }

    async fn refusal(text: &str, context: Option<&str>) -> String {
        let (folder, settings) = settings(text, context, false);
        let Err(error) = connect(&settings).await else {
            panic!("must be refused")
        };
        error
            .to_string()
            .replace(&folder.path().display().to_string(), "DIR")
    }

    fn kubeconfig(user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nusers: [{{name: u, user: {user}}}]\n"
        )
    }

    #[tokio::test]
    async fn a_credential_plugin_is_refused_by_name_and_not_started() {
        let marker = tempfile::tempdir().unwrap();
        let file = marker.path().join("started");
        let user = format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: ['{}'], interactiveMode: Never}}}}",
            file.display()
        );
        insta::assert_snapshot!(refusal(&kubeconfig(&user), None).await, @"cannot use the kubeconfig DIR/kubeconfig: its user gets credentials from `exec touch`, and starting programs is not allowed");
        assert!(!file.exists());
        let (_folder, settings) = settings(&kubeconfig(&user), None, true);
        let allowed = connect(&settings).await;
        assert!(file.exists(), "started once it is allowed");
        assert!(allowed.is_err(), "touch prints no credentials");
    }

    #[tokio::test]
    async fn an_auth_provider_is_refused_by_name() {
        insta::assert_snapshot!(refusal(&kubeconfig("{auth-provider: {name: gcp, config: {cmd-path: /bin/true}}}"), None).await, @"cannot use the kubeconfig DIR/kubeconfig: its user gets credentials from `auth-provider gcp`, and starting programs is not allowed");
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_placed_and_its_token_not_shown() {
        let text = refusal("users:\n- name: u\n  user: {token: s3cr3t\n", None).await;
        assert!(!text.contains("s3cr3t"), "{text}");
        assert!(text.contains("it is not a kubeconfig (line "), "{text}");
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let good = kubeconfig("{token: t}");
        insta::assert_snapshot!(refusal(&good, Some("other")).await, @"no context `other` in the kubeconfig DIR/kubeconfig");
        insta::assert_snapshot!(refusal("apiVersion: v1\nkind: Config\n", None).await, @"cannot read the kubeconfig DIR/kubeconfig: it has no current-context");
    }

    #[test]
    fn the_proxy_of_the_environment_is_left_out_where_it_should_be() {
        let direct = |host, exempt| goes_direct(host, exempt);
        assert!(direct("127.0.0.1", "") && direct("[::1]", "") && direct("localhost", ""));
        assert!(direct("k8s.example.com", "a.org, .example.com"));
        assert!(direct("k8s.example.com", "example.com") && direct("example.com", "example.com"));
        assert!(!direct("notexample.com", "example.com"));
        assert!(direct("10.1.2.3", "10.0.0.0/8") && !direct("11.1.2.3", "10.0.0.0/8"));
        assert!(direct("anything", "*") && !direct("anything", ""));
    }

    #[tokio::test]
    async fn a_client_is_made_without_sending_anything() {
        let (_folder, settings) = settings(&kubeconfig("{token: t}"), None, false);
        assert!(connect(&settings).await.is_ok());
    }
}
