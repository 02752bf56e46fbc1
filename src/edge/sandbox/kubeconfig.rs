//! The kubeconfig of a running sandbox, as text and as a file that only its owner reads.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

/// How cluster, context and user are called in it.
const NAME: &str = "lockstep-sandbox";

/// The text. There is no credential in it: the sandbox asks nobody who they are.
pub fn text(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: {NAME}\n\
         clusters:\n\
         - name: {NAME}\n  cluster:\n    server: http://{address}\n\
         contexts:\n\
         - name: {NAME}\n  context:\n    cluster: {NAME}\n    namespace: default\n    user: {NAME}\n\
         users:\n\
         - name: {NAME}\n  user: {{}}\n"
    )
}

/// Writes a new file with mode 0600. A file that is already there, or a link to one, is left as it is: an error.
pub fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_a_kubeconfig() {
        let text = text("127.0.0.1:8001".parse().unwrap());
        let config: kube::config::Kubeconfig = serde_yaml::from_str(&text).unwrap();
        assert_eq!(config.current_context.as_deref(), Some(NAME));
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("http://127.0.0.1:8001"));
    }

    #[test]
    fn a_file_that_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        write_new(&path, "one").unwrap();
        assert!(write_new(&path, "two").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
